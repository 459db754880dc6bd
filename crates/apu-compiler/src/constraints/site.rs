//! An operator in its graph, with names for its operands.

use super::{LIMITS, Refusal, support::kind};
use crate::{
    Numerics,
    graph::{Activation, Element, Graph, Opcode, Operator, Options, Sliding, Tensor, TensorId},
    requantise,
};

/// An operator in its graph.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub graph: &'a Graph<'a>,
    pub operator: &'a Operator,
    /// Whose arithmetic it is to have.
    pub numerics: Numerics,
}

impl<'a> Site<'a> {
    /// Input `i`, unless it is left out.
    pub fn input(&self, i: usize) -> Option<&'a Tensor<'a>> {
        self.operator
            .inputs
            .get(i)
            .copied()
            .flatten()
            .and_then(|id| self.graph.tensors.get(id))
    }

    /// The first output.
    pub fn output(&self) -> Option<&'a Tensor<'a>> {
        self.operator
            .outputs
            .first()
            .and_then(|&id| self.graph.tensors.get(id))
    }

    /// All outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &'a Tensor<'a>> {
        self.operator
            .outputs
            .iter()
            .filter_map(|&id| self.graph.tensors.get(id))
    }

    /// Inputs that carry activations.
    pub fn activations_in(&self) -> impl Iterator<Item = &'a Tensor<'a>> {
        let (from, to) = kind(self.operator.opcode).map_or((0, 1), |kind| kind.data);
        let to = to.min(self.operator.inputs.len());
        (from..to).filter_map(|i| self.input(i))
    }

    /// Inputs and outputs that carry activations.
    pub fn activations(&self) -> impl Iterator<Item = &'a Tensor<'a>> {
        self.activations_in().chain(self.outputs())
    }

    /// Weights of the operators that have some.
    pub fn weights(&self) -> Option<&'a Tensor<'a>> {
        super::WEIGHTED
            .contains(&self.operator.opcode)
            .then(|| self.input(1))
            .flatten()
    }

    /// Bias of the operators with weights.
    pub fn bias(&self) -> Option<&'a Tensor<'a>> {
        self.weights().and_then(|_| self.input(2))
    }

    /// Index of the weights' dimension that is the output channel.
    pub fn channel_axis(&self) -> usize {
        if self.operator.opcode == Opcode::DEPTHWISE_CONV_2D {
            3
        } else {
            0
        }
    }

    /// The scale of the weights where TFLite has one for all output channels. For int8 convolutions
    /// it never does, even when the model has just one.
    pub fn one_weight_scale(&self) -> Option<f32> {
        let weights = self.weights()?;
        let fully_connected = self.operator.opcode == Opcode::FULLY_CONNECTED;
        let (scale, _) = weights.per_tensor()?;
        (fully_connected || weights.element == Element::UINT8).then_some(scale)
    }

    /// Output channels of the operators with weights.
    pub fn channels(&self) -> Option<u32> {
        self.weights()?.shape.get(self.channel_axis()).copied()
    }

    /// The fused activation; operators that may leave their attributes out then have none.
    pub fn activation(&self) -> Activation {
        match self.operator.options {
            Options::Conv2d { activation, .. }
            | Options::DepthwiseConv2d { activation, .. }
            | Options::Pool2d { activation, .. }
            | Options::FullyConnected { activation, .. }
            | Options::Fused { activation }
            | Options::Sum { activation, .. }
            | Options::Concatenation { activation, .. }
            | Options::TransposeConv { activation, .. }
            | Options::Svdf { activation, .. } => activation,
            _ => Activation(0),
        }
    }

    /// By how many bits TFLite shifts the inputs of a sum of int16 to the left in place of rescaling them;
    /// `None` where it doesn't.
    pub fn shifts(&self) -> Option<[i32; 2]> {
        let Options::Sum { shifted: true, .. } = self.operator.options else {
            return None;
        };
        let exponent = |tensor: &Tensor| match tensor.element {
            Element::INT16 => requantise::exponent(tensor.per_tensor()?.0),
            _ => None,
        };
        let output = exponent(self.output()?)?;
        let shift = |index| Some(exponent(self.input(index)?)? - output);
        Some([shift(0)?, shift(1)?])
    }

    /// How the window moves, and its height and width. `None` without the attributes of the
    /// operator's kind.
    pub fn window(&self) -> Option<(Sliding, [u32; 2])> {
        let (sliding, [h, w]) = match (self.operator.opcode, self.operator.options) {
            (Opcode::CONV_2D, Options::Conv2d { sliding, .. })
            | (Opcode::DEPTHWISE_CONV_2D, Options::DepthwiseConv2d { sliding, .. }) => {
                let &[_, h, w, _] = self.weights()?.shape.as_slice() else {
                    return None;
                };
                (sliding, [h, w])
            }
            (
                Opcode::AVERAGE_POOL_2D | Opcode::MAX_POOL_2D,
                Options::Pool2d {
                    sliding, filter, ..
                },
            ) => (
                sliding,
                [
                    u32::try_from(filter[0]).ok()?,
                    u32::try_from(filter[1]).ok()?,
                ],
            ),
            _ => return None,
        };
        let steps = sliding.stride.into_iter().chain(sliding.dilation);
        (steps.into_iter().all(|step| step > 0) && h > 0 && w > 0).then_some((sliding, [h, w]))
    }

    /// Input `i`, for lowering: the constraints have seen to it that it is there.
    pub fn need_input(&self, i: usize) -> Result<&'a Tensor<'a>, Refusal> {
        self.input(i)
            .ok_or_else(|| LIMITS.refuse(format!("no input {i}")))
    }

    /// The output, for lowering.
    pub fn need_output(&self) -> Result<&'a Tensor<'a>, Refusal> {
        self.output().ok_or_else(|| LIMITS.refuse("no output"))
    }

    /// Index of input `i`, for lowering.
    pub fn input_id(&self, i: usize) -> Result<TensorId, Refusal> {
        self.operator
            .inputs
            .get(i)
            .copied()
            .flatten()
            .ok_or_else(|| LIMITS.refuse(format!("no input {i}")))
    }

    /// Index of the output, for lowering.
    pub fn output_id(&self) -> Result<TensorId, Refusal> {
        self.operator
            .outputs
            .first()
            .copied()
            .ok_or_else(|| LIMITS.refuse("no output"))
    }
}
