//! What the compiler found and did, for people and for tools.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{
    Numerics,
    constraints::Refusal,
    graph::{Graph, Operator, Tensor, TensorId},
};

/// A model, operator by operator.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the main subgraph, often empty.
    pub name: String,
    /// The model's description of itself.
    pub description: String,
    /// How sums become outputs.
    pub numerics: Numerics,
    /// Layout of the packed constants.
    pub target: String,
    /// Inputs in the model's order.
    pub inputs: Vec<Arc<TensorReport>>,
    /// Outputs in the model's order.
    pub outputs: Vec<Arc<TensorReport>>,
    /// Operators in the model's order.
    pub operators: Vec<OperatorReport>,
    /// Sums over all of it.
    pub totals: Totals,
}

/// Sums over a model.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// Operators of the model.
    pub operators: usize,
    /// Operators that run on the APU.
    pub placed: usize,
    /// Multiply-accumulates of one inference, of the placed operators.
    pub macs: u64,
    /// Bytes of the arena; `None`, as the next three, when the model gives no program.
    pub arena_bytes: Option<u64>,
    /// The most bytes of the arena that are in use at one time: no plan can be smaller.
    pub arena_lower_bound: Option<u64>,
    /// Bytes of packed weights and tables.
    pub constants_bytes: Option<u64>,
    /// Records of the program: more than operators where some are computed band by band.
    pub records: Option<usize>,
}

/// One operator.
#[derive(Clone, Debug, Serialize)]
pub struct OperatorReport {
    /// Index in the model.
    pub index: usize,
    /// Name of its first output.
    pub name: String,
    /// Its kind, as in TFLite's schema: `CONV_2D`.
    pub opcode: String,
    /// Version of the kind's semantics.
    pub version: i32,
    /// Inputs in the schema's order, without those left out.
    pub inputs: Vec<Arc<TensorReport>>,
    /// Outputs in the schema's order.
    pub outputs: Vec<Arc<TensorReport>>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Where it runs.
    pub placement: Placement,
}

/// One tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorReport {
    /// Its name.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<u32>,
    /// Type of its elements: `int8`.
    pub dtype: String,
    /// Scale, the first one when there is one for each channel.
    pub scale: Option<f32>,
    /// Zero point, the first one when there is one for each channel.
    pub zero_point: Option<i64>,
    /// Whether each channel has its own scale.
    pub per_channel: bool,
    /// Whether the model holds its elements.
    pub constant: bool,
}

/// Where an operator runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "on", rename_all = "lowercase")]
pub enum Placement {
    /// On the APU.
    Apu,
    /// It breaks a constraint of the APU.
    Unplaced {
        /// [`Constraint::name`](crate::constraints::Constraint::name).
        constraint: &'static str,
        /// What the operator has.
        got: String,
        /// What would satisfy the constraint.
        needed: &'static str,
        /// Numerics with which the operator runs on the APU as it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        instead: Option<Numerics>,
    },
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apu => f.write_str("APU"),
            Self::Unplaced {
                constraint,
                got,
                needed,
                instead,
            } => {
                write!(f, "{constraint}: got {got}; needs {needed}")?;
                match instead {
                    Some(numerics) => write!(f, ", or numerics {numerics}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl From<Refusal> for Placement {
    fn from(
        Refusal {
            constraint,
            got,
            needed,
            instead,
        }: Refusal,
    ) -> Self {
        Self::Unplaced {
            constraint,
            got,
            needed,
            instead,
        }
    }
}

impl Report {
    /// `placed` holds the multiply-accumulates of each operator, or why it has no place.
    pub(crate) fn new(
        graph: &Graph,
        numerics: Numerics,
        target: &str,
        placed: Vec<Result<u64, Refusal>>,
    ) -> Self {
        // One report a tensor, however often it is used.
        let tensors: Vec<Arc<TensorReport>> = graph
            .tensors
            .iter()
            .map(|t| Arc::new(TensorReport::new(t)))
            .collect();
        let pick = |ids: &[TensorId]| {
            ids.iter()
                .map(|&id| tensors[id].clone())
                .collect::<Vec<_>>()
        };
        let operators: Vec<OperatorReport> = graph
            .operators
            .iter()
            .zip(placed)
            .map(|(operator, placed)| {
                let inputs: Vec<TensorId> = operator.inputs.iter().flatten().copied().collect();
                OperatorReport::new(
                    graph,
                    operator,
                    pick(&inputs),
                    pick(&operator.outputs),
                    placed,
                )
            })
            .collect();
        let totals = Totals {
            operators: operators.len(),
            placed: operators
                .iter()
                .filter(|op| op.placement == Placement::Apu)
                .count(),
            macs: operators
                .iter()
                .fold(0, |sum, op| op.macs.saturating_add(sum)),
            ..Totals::default()
        };
        Self {
            name: graph.name.clone(),
            description: graph.description.clone(),
            numerics,
            target: target.into(),
            inputs: pick(&graph.inputs),
            outputs: pick(&graph.outputs),
            operators,
            totals,
        }
    }
}

impl OperatorReport {
    fn new(
        graph: &Graph,
        operator: &Operator,
        inputs: Vec<Arc<TensorReport>>,
        outputs: Vec<Arc<TensorReport>>,
        placed: Result<u64, Refusal>,
    ) -> Self {
        let name = operator
            .outputs
            .first()
            .map_or_else(String::new, |&id| graph.tensors[id].name.clone());
        let macs = *placed.as_ref().unwrap_or(&0);
        Self {
            index: operator.index,
            name,
            opcode: operator.opcode.to_string(),
            version: operator.version,
            inputs,
            outputs,
            macs,
            placement: placed.map_or_else(Placement::from, |_| Placement::Apu),
        }
    }
}

impl TensorReport {
    fn new(tensor: &Tensor) -> Self {
        let quantization = tensor.quantization.as_ref();
        Self {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: tensor.element.name().into(),
            scale: quantization.and_then(|q| q.scales.first().copied()),
            zero_point: quantization.map(|q| q.zero_point(0)),
            per_channel: quantization.is_some_and(|q| q.scales.len() > 1),
            constant: tensor.data.is_some(),
        }
    }
}
