//! Convolutions of int16 by int8 weights, which have biases of 64 bits.

use apu_kernels::wide_conv_2d;
use apu_proto::program::{Rounding, WideConv2d, Window, opcode};

use crate::{
    constants,
    constraints::{LIMITS, Refusal, Site},
    graph::{Element, Opcode},
    legalise::{Operand, Record, quantisation, ratio_out_of_range, record},
    requantise::{self, Multiplier},
};

/// Whether an operator is one of these.
pub(in crate::legalise) fn is_wide(site: &Site) -> bool {
    site.output()
        .is_some_and(|output| output.element == Element::INT16)
}

/// The record of a convolution over what `input` holds, with `weights` as
/// `[out_c][kernel rows][kernel columns][depth]`.
pub(super) fn wide(
    site: &Site,
    window: Window,
    input: Operand,
    weights: Vec<u8>,
    depth: u32,
) -> Result<Record, Refusal> {
    let output = site.need_output()?;
    let (scale, zero_point) = quantisation(output)?;
    let clamp = requantise::activation_range(site.activation(), output.element, scale, 0)
        .ok_or_else(|| LIMITS.refuse(format!("an activation bound in steps of {scale}")))?;
    if zero_point != 0 || quantisation(site.need_input(0)?)?.1 != 0 {
        return Err(LIMITS.refuse("zero points other than 0 for int16"));
    }
    let params = WideConv2d {
        window,
        depth,
        rounding: rounding(site),
        clamp_min: clamp.0,
        clamp_max: clamp.1,
    };
    let macs = output.count().saturating_mul(weights.len() as u64) / u64::from(window.out_c);
    let operands = [
        input,
        Operand::Packed(weights),
        Operand::Packed(table(site, window.out_c)?),
        Operand::Write(site.output_id()?),
    ];
    let sizes = wide_conv_2d::sizes(&params);
    record(site, opcode::WIDE_CONV_2D, &params, sizes, operands, macs)
}

/// Depthwise weights `[taps][channels]` as `[channels][taps]`.
pub(super) fn by_channel(weights: &[u8], channels: usize) -> Vec<u8> {
    let of_channel = |channel| weights.iter().skip(channel).step_by(channels).copied();
    (0..channels).flat_map(of_channel).collect()
}

/// LiteRT's FULLY_CONNECTED rounds in float.
fn rounding(site: &Site) -> u32 {
    match site.operator.opcode {
        Opcode::FULLY_CONNECTED => Rounding::FLOAT,
        _ => Rounding::UP,
    }
}

/// Bias, multiplier and shift of each channel, or the bias and the scale in f64.
fn table(site: &Site, channels: u32) -> Result<Vec<u8>, Refusal> {
    let quantization = site.need_input(1)?.quantization.as_ref();
    let quantization = quantization.ok_or_else(|| LIMITS.refuse("weights without a scale"))?;
    let count = quantization.scales.len();
    let float = rounding(site) == Rounding::FLOAT;
    if quantization.zero_points.iter().any(|&z| z != 0) || (float && count != 1) {
        return Err(LIMITS.refuse(format!("{count} scales, or weights with a zero point")));
    }
    let input = quantisation(site.need_input(0)?)?.0;
    let output = quantisation(site.need_output()?)?.0;
    let biases = site.bias().and_then(constants::integers);
    let biases = biases.unwrap_or_else(|| vec![0; channels as usize]);
    let mut table = Vec::with_capacity(biases.len() * 16);
    for (channel, bias) in biases.into_iter().enumerate() {
        let weight = quantization.scales[channel % count];
        let ratio = requantise::channel_ratio(input, weight, output);
        let words = match float {
            true => requantise::float_words(ratio),
            false => Multiplier::new(ratio)
                .filter(|multiplier| multiplier.shift < 8)
                .ok_or_else(|| ratio_out_of_range(site))?
                .words(),
        };
        table.extend(bias.to_le_bytes());
        table.extend(words.into_iter().flat_map(i32::to_le_bytes));
    }
    Ok(table)
}
