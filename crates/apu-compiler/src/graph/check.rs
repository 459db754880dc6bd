//! What every stage after import takes for granted of a graph.

use super::{Graph, Opcode, Operator, Tensor, TensorId};
use crate::Error;

/// Most dimensions of a tensor; TFLite's own kernels stop at 8.
pub(crate) const MAX_RANK: usize = 32;

impl Graph<'_> {
    /// Checks shapes, sizes and indices, that the operators stand in an order in which they can
    /// run, and that the outputs have values.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::DataSize`], [`Error::Dangling`], [`Error::WrittenTwice`] or
    /// [`Error::NoValue`].
    pub fn check(&self) -> Result<(), Error> {
        for (id, tensor) in self.tensors.iter().enumerate() {
            check_tensor(id, tensor)?;
        }
        for operator in &self.operators {
            let place = format!("operator {}", operator.index);
            self.check_references(&place, operator.inputs.iter().flatten())?;
            self.check_references(&place, &operator.outputs)?;
            self.check_references(&place, &operator.intermediates)?;
        }
        self.check_references("the input list", &self.inputs)?;
        self.check_references("the output list", &self.outputs)?;
        self.check_order()
    }

    fn check_references<'a>(
        &self,
        place: &str,
        ids: impl IntoIterator<Item = &'a TensorId>,
    ) -> Result<(), Error> {
        let count = self.tensors.len();
        match ids.into_iter().find(|&&id| id >= count) {
            Some(&id) => Err(Error::Dangling {
                place: place.into(),
                what: "tensor",
                got: id as i64,
                count,
            }),
            None => Ok(()),
        }
    }

    fn check_order(&self) -> Result<(), Error> {
        let constant = |tensor: &Tensor| tensor.data.is_some();
        let mut known: Vec<bool> = self.tensors.iter().map(constant).collect();
        for &input in &self.inputs {
            known[input] = true;
        }
        for operator in &self.operators {
            self.check_reads(operator, &known)?;
            for &tensor in &operator.outputs {
                if std::mem::replace(&mut known[tensor], true) {
                    return Err(Error::WrittenTwice {
                        operator: operator.index,
                        tensor,
                    });
                }
            }
        }
        match self.outputs.iter().copied().find(|&id| !known[id]) {
            Some(tensor) => Err(Error::NoValue {
                reader: "the output list".into(),
                tensor,
            }),
            None => Ok(()),
        }
    }

    fn check_reads(&self, operator: &Operator, known: &[bool]) -> Result<(), Error> {
        // What compilers for other devices make reads memory that is there for it alone; it is refused
        // for what it is.
        if operator.opcode == Opcode::CUSTOM {
            return Ok(());
        }
        // Tensors that come from elsewhere, or that have nothing to know.
        let excused = |tensor: &Tensor| tensor.sparse || tensor.variable || tensor.count() == 0;
        let mut inputs = operator.inputs.iter().flatten().copied();
        match inputs.find(|&id| !known[id] && !excused(&self.tensors[id])) {
            Some(tensor) => Err(Error::NoValue {
                reader: format!("operator {}", operator.index),
                tensor,
            }),
            None => Ok(()),
        }
    }
}

fn check_tensor(id: TensorId, tensor: &Tensor) -> Result<(), Error> {
    let count = tensor
        .shape
        .iter()
        .try_fold(1u64, |count, &d| count.checked_mul(u64::from(d)));
    let fits = |count: u64| count <= i64::MAX as u64 / 8;
    if tensor.shape.len() > MAX_RANK || !count.is_some_and(fits) {
        return Err(Error::Shape {
            tensor: id,
            shape: tensor.shape.iter().map(|&d| d.cast_signed()).collect(),
        });
    }
    match tensor.elements() {
        Some(data) if tensor.element.dtype().is_some() && data.len() as u64 != tensor.bytes() => {
            Err(Error::DataSize {
                tensor: id,
                got: data.len(),
                needed: tensor.bytes(),
            })
        }
        _ => Ok(()),
    }
}
