//! Which operators XNNPACK takes in LiteRT, and its arithmetic where it isn't TFLite's.
//!
//! What it doesn't take stays with TFLite's kernels, so that a program has the numerics of both, as LiteRT
//! itself does by default.

use apu_kernels::float_math::{elu, tanh};

use super::{functions::Scales, quantisation};
use crate::{
    Numerics,
    constraints::{Refusal, Site},
    graph::{Element, Opcode, Options, Padding, Tensor},
};

/// Factors from sums to outputs are below this.
const FACTOR_BELOW: f32 = 256.0;

/// Whether the operator is computed as XNNPACK does.
pub(crate) fn takes(site: &Site) -> bool {
    site.numerics == Numerics::Xnnpack && taken(site).unwrap_or(false)
}

/// Whether it takes the operator; `None` where an operand is missing.
fn taken(site: &Site) -> Option<bool> {
    let input = site.activations_in().next()?;
    let output = site.output()?;
    let ratio = |tensor: &Tensor| Some(tensor.per_tensor()?.0 / output.per_tensor()?.0);
    Some(match site.operator.opcode {
        Opcode::CONV_2D | Opcode::DEPTHWISE_CONV_2D | Opcode::TRANSPOSE_CONV => {
            convolved(site) && weighted(site)
        }
        Opcode::FULLY_CONNECTED => weighted(site),
        Opcode::BATCH_MATMUL => {
            let (_, zero_point) = site.input(1)?.per_tensor()?;
            input.element == Element::INT8 && zero_point == 0
        }
        Opcode::MEAN | Opcode::RESIZE_BILINEAR | Opcode::SUM => input.element.range8().is_some(),
        Opcode::ADD | Opcode::SUB => {
            let both = [ratio(input)?, ratio(site.input(1)?)?];
            let range = 1.0 / 1024.0..FACTOR_BELOW;
            input.element.range8().is_some() && both.iter().all(|factor| range.contains(factor))
        }
        Opcode::MUL => {
            let product = input.per_tensor()?.0 * site.input(1)?.per_tensor()?.0;
            let factor = product / output.per_tensor()?.0;
            input.element.range8().is_some() && (1.0 / 65536.0..FACTOR_BELOW).contains(&factor)
        }
        Opcode::QUANTIZE if input.element == Element::FLOAT32 => output.element.range8().is_some(),
        Opcode::QUANTIZE => {
            let bytes = input.element.range8().is_some() && input.element == output.element;
            bytes && (1.0 / 256.0..=128.0).contains(&ratio(input)?)
        }
        Opcode::ELU => input.element == Element::INT8,
        Opcode::LOGISTIC | Opcode::TANH => input.element.range8().is_some(),
        Opcode::LEAKY_RELU => {
            let Options::LeakyRelu { alpha } = site.operator.options else {
                return None;
            };
            let (above, below) = (ratio(input)?, ratio(input)? * alpha);
            input.element.range8().is_some()
                && (1.0 / 256.0..=128.0).contains(&above)
                && (-127.996_09..=128.0).contains(&below)
                && below.abs() >= 1.0 / 256.0
        }
        _ => false,
    })
}

/// Weights without a zero point for int8; for uint8 one scale that is said to be of the first dimension.
fn weighted(site: &Site) -> bool {
    let Some(weights) = site.input(1) else {
        return false;
    };
    let zeros = |zero_points: &[i64]| zero_points.iter().all(|&zero_point| zero_point == 0);
    let bytes = site
        .output()
        .is_some_and(|output| output.element.range8().is_some());
    bytes
        && weights
            .quantization
            .as_ref()
            .is_some_and(|quantization| match weights.element {
                Element::UINT8 => quantization.axis == 0,
                _ => zeros(&quantization.zero_points),
            })
}

/// Of convolutions, those with a bias; of the transposed ones, those whose strides stay within the filter.
fn convolved(site: &Site) -> bool {
    match site.operator.options {
        Options::TransposeConv { sliding, .. } if sliding.padding == Padding::Same => {
            let filter = site.input(1).and_then(|weights| weights.shape.get(1..3));
            let within = |(stride, &size): (i32, &u32)| i64::from(stride) <= i64::from(size);
            filter.is_some_and(|filter| sliding.stride.into_iter().zip(filter).all(within))
        }
        Options::TransposeConv { .. } => true,
        _ => site.bias().is_some(),
    }
}

/// The factor of one channel's sums, `None` where XNNPACK has none.
pub(super) fn factor(input: f32, weight: f32, output: f32) -> Option<[i32; 2]> {
    let factor = input * weight / output;
    (factor < FACTOR_BELOW).then(|| [factor.to_bits() as i32, 0])
}

/// The factors and the shift of a sum of two bytes.
pub(super) fn sum_factors(a: f32, b: f32, output: f32) -> ([i32; 2], u32) {
    const FACTOR_BITS: i32 = 20;
    let ratios = [a / output, b / output];
    let exponent = (ratios[0].max(ratios[1]).to_bits() >> 23) as i32 - 127;
    let shift = (FACTOR_BITS - exponent).clamp(1, 30) as u32;
    let factor = |ratio: f32| (ratio * (1u32 << shift) as f32).round_ties_even() as i32;
    (ratios.map(factor), shift)
}

/// A function of a stored byte.
type Function = Box<dyn Fn(i32) -> i32>;

/// The function of a byte that a table is made of, if XNNPACK has one of its own.
pub(super) fn function(site: &Site) -> Result<Option<Function>, Refusal> {
    if !takes(site) {
        return Ok(None);
    }
    let scales = Scales {
        input: quantisation(site.need_input(0)?)?,
        output: quantisation(site.need_output()?)?,
    };
    Ok(Some(match site.operator.opcode {
        Opcode::LOGISTIC => Box::new(scales.real_even(|x| {
            let e = libm::exp(f64::from(x).clamp(-100.0, 100.0));
            (e / (1.0 + e)) as f32
        })),
        Opcode::TANH => Box::new(scales.real_even(tanh)),
        Opcode::ELU => Box::new(scales.real_even(elu)),
        Opcode::LEAKY_RELU => {
            let alpha = match site.operator.options {
                Options::LeakyRelu { alpha } => alpha,
                _ => 1.0,
            };
            Box::new(scales.by_eighths(alpha))
        }
        Opcode::QUANTIZE => Box::new(scales.by_eighths(1.0)),
        _ => return Ok(None),
    }))
}

impl Scales {
    /// A real function whose zero point is added before it is rounded, ties to even.
    fn real_even(self, function: impl Fn(f32) -> f32) -> impl Fn(i32) -> i32 {
        let (scale, zero_point) = self.input;
        let inverse = 1.0 / self.output.0;
        move |x| {
            let steps = function((x - zero_point) as f32 * scale) * inverse;
            (steps + self.output.1 as f32).round_ties_even() as i32
        }
    }

    /// `x`, below 0 times `alpha`, with factors of eight fractional bits, ties up.
    fn by_eighths(self, alpha: f32) -> impl Fn(i32) -> i32 {
        let above = self.input.0 / self.output.0;
        let factor = |ratio: f32| (256.0 * ratio).round_ties_even() as i32;
        let factors = [factor(above), factor(above * alpha)];
        move |x| {
            let x = x - self.input.1;
            ((x * factors[usize::from(x < 0)] + 128) >> 8) + self.output.1
        }
    }
}
