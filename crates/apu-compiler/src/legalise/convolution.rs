//! CONV_2D, DEPTHWISE_CONV_2D, and FULLY_CONNECTED as a convolution with a 1x1 window.

mod grouped;
mod wide;

use self::wide::{is_wide, wide};
use apu_kernels::{conv_2d, depthwise_conv_2d};
use apu_proto::program::{self, Conv2d, DepthwiseConv2d, MAX_OUTLIERS, Ramps, Rounding, Window};
use zerocopy::IntoBytes;

use super::{
    Operand, Record, dtype, quantisation, ratio_out_of_range, record, scratch, size, xnnpack,
};
use crate::{
    Numerics, constants,
    constraints::{LIMITS, Refusal, Site},
    graph::{Element, Opcode, Tensor},
    pack::{self, Channel, Matrix},
    requantise::{self, Multiplier},
    window,
};

/// Most rows or columns of a feature map in a record.
const MAX_SIDE: u32 = 65535;
/// Most heights to try for a map of many rows; it bounds the time that a hostile shape can take.
const MAX_TRIES: u32 = 4096;

pub(super) fn conv_2d(site: &Site) -> Result<Vec<Record>, Refusal> {
    let window = window::record(site, site.need_input(0)?, site.need_output()?)?;
    let depth = site.need_input(1)?.shape.last().copied().unwrap_or(1);
    if is_wide(site) {
        return Ok(vec![wide_conv_2d(site, window, depth)?]);
    }
    if depth < window.in_c {
        return grouped::conv_2d(site, window, depth);
    }
    Ok(vec![matrix(site, window)?])
}

pub(super) fn fully_connected(site: &Site) -> Result<Record, Refusal> {
    let &[units, depth] = site.need_input(1)?.shape.as_slice() else {
        return Err(LIMITS.refuse("weights that are no matrix"));
    };
    let rows: u32 = size("rows", site.need_input(0)?.count() / u64::from(depth))?;
    // A map of any height and width will do, as long as each side fits.
    let height = (1..=MAX_TRIES)
        .find(|height| rows.is_multiple_of(*height) && rows / height <= MAX_SIDE)
        .ok_or_else(|| LIMITS.refuse(format!("{rows} rows")))?;
    let width = rows / height;
    let window = Window {
        batch: 1,
        in_h: height,
        in_w: width,
        in_c: depth,
        out_h: height,
        out_w: width,
        out_c: units,
        kernel_h: 1,
        kernel_w: 1,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 0,
        pad_left: 0,
    };
    matrix(site, window)
}

fn wide_conv_2d(site: &Site, window: Window, depth: u32) -> Result<Record, Refusal> {
    let weights = site.need_input(1)?.elements().unwrap_or_default();
    let input = Operand::Read(site.input_id(0)?);
    wide(site, window, input, weights.to_vec(), depth)
}

fn matrix(site: &Site, window: Window) -> Result<Record, Refusal> {
    if is_wide(site) {
        return wide_conv_2d(site, window, window.in_c);
    }
    let common = Common::new(site, rounding(site))?;
    let output = Operand::Write(site.output_id()?);
    multiplied(
        site,
        window,
        Operand::Read(site.input_id(0)?),
        output,
        common,
    )
}

/// A convolution over what `input` holds, with its filters turned round and this rounding.
pub(super) fn turned(
    site: &Site,
    input: Operand,
    window: Window,
    rounding: u32,
) -> Result<Record, Refusal> {
    let pixel = window.in_c as usize;
    let filter = pixel * window.kernel_h as usize * window.kernel_w as usize;
    let data = site.need_input(1)?.elements().unwrap_or_default();
    let turned: Vec<u8> = data
        .chunks_exact(filter)
        .flat_map(|filter| filter.chunks_exact(pixel).rev().flatten().copied())
        .collect();
    if is_wide(site) {
        return wide(site, window, input, turned, window.in_c);
    }
    let common = Common::new(site, rounding)?;
    let weights = pack::Weights {
        data: &turned,
        ..common.weights
    };
    let output = Operand::Write(site.output_id()?);
    multiplied(site, window, input, output, Common { weights, ..common })
}

fn multiplied(
    site: &Site,
    window: Window,
    input: Operand,
    output: Operand,
    common: Common,
) -> Result<Record, Refusal> {
    let (packed, weight_zero_point) = packed(site, window, &common)?;
    // The kernel works on unsigned activations, so int8 ones and their zero point move up by 128.
    let unsigned = if site.need_input(0)?.element == Element::INT8 {
        128
    } else {
        0
    };
    let mut table = common.table(|channel, bias| {
        pack::folded_bias(
            bias,
            packed.sums[channel],
            packed.depth,
            common.input_zero_point + unsigned,
            weight_zero_point,
        )
    });
    table.extend_from_slice(packed.outliers.as_bytes());
    let params = Conv2d {
        window,
        dtype: dtype(site.need_input(0)?),
        input_zero_point: common.input_zero_point,
        weight_zero_point,
        output_zero_point: common.output_zero_point,
        clamp_min: common.clamp.0,
        clamp_max: common.clamp.1,
        rounding: common.rounding,
        outliers: packed.outliers.len() as u32,
        ramps: Ramps::NONE,
    };
    let sizes = conv_2d::sizes(&params);
    let operands = [
        input,
        Operand::Packed(packed.bytes),
        Operand::Packed(table),
        output,
        scratch(&sizes, 4),
    ];
    let pixels = [window.batch, window.out_h, window.out_w, window.out_c];
    let macs = pixels
        .into_iter()
        .fold(packed.depth as u64, |product, size| {
            product.saturating_mul(size.into())
        });
    record(
        site,
        program::opcode::CONV_2D,
        &params,
        sizes,
        operands,
        macs,
    )
}

/// The weights and what their zero point is then: none, if there are few outliers.
fn packed(site: &Site, window: Window, common: &Common) -> Result<(Matrix, i32), Refusal> {
    let pack = |offset| {
        let (channels, rows) = (window.out_c as usize, window.kernel_h as usize);
        Matrix::pack(common.weights, channels, rows, offset)
    };
    let without = pack(common.weight_zero_point);
    if without.outliers.len() <= MAX_OUTLIERS {
        return Ok((without, 0));
    }
    let offset = signed_offset(site)?;
    Ok((pack(offset), common.weight_zero_point - offset))
}

pub(super) fn depthwise_conv_2d(site: &Site) -> Result<Record, Refusal> {
    let window = window::record(site, site.need_input(0)?, site.need_output()?)?;
    if is_wide(site) {
        let weights = site.need_input(1)?.elements().unwrap_or_default();
        let weights = wide::by_channel(weights, window.out_c as usize);
        let input = Operand::Read(site.input_id(0)?);
        return wide(site, window, input, weights, 1);
    }
    depthwise(site, window, &Common::new(site, rounding(site))?)
}

fn depthwise(site: &Site, window: Window, common: &Common) -> Result<Record, Refusal> {
    let weights = pack::depthwise(
        common.weights,
        window.out_c as usize,
        common.weight_zero_point,
    );
    let table = common.table(|_, bias| bias);
    let params = DepthwiseConv2d {
        window,
        dtype: dtype(site.need_input(0)?),
        input_zero_point: common.input_zero_point,
        output_zero_point: common.output_zero_point,
        clamp_min: common.clamp.0,
        clamp_max: common.clamp.1,
        rounding: common.rounding,
        ramps: Ramps::NONE,
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Packed(weights),
        Operand::Packed(table),
        Operand::Write(site.output_id()?),
    ];
    let taps = u64::from(window.kernel_h) * u64::from(window.kernel_w);
    let macs = site.need_output()?.count().saturating_mul(taps);
    let sizes = depthwise_conv_2d::sizes(&params);
    record(
        site,
        program::opcode::DEPTHWISE_CONV_2D,
        &params,
        sizes,
        operands,
        macs,
    )
}

/// LiteRT's plain kernels round away from zero, but for FULLY_CONNECTED, which does so in float since 2025;
/// uint8 follows that, int8 the optimised kernel. By default LiteRT runs XNNPACK, and its optimised kernels
/// for what that doesn't take: those round ties up, where they aren't the plain ones after all.
pub(super) fn rounding(site: &Site) -> u32 {
    let int8 = site
        .output()
        .is_some_and(|output| output.element == Element::INT8);
    let by_default = site.numerics == Numerics::Xnnpack;
    match site.operator.opcode {
        _ if xnnpack::takes(site) => Rounding::EVEN,
        Opcode::FULLY_CONNECTED if int8 || by_default => Rounding::UP,
        Opcode::FULLY_CONNECTED => Rounding::FLOAT,
        Opcode::DEPTHWISE_CONV_2D if int8 && by_default => Rounding::UP,
        Opcode::CONV_2D if by_default && !is_grouped(site) => Rounding::UP,
        _ => Rounding::AWAY,
    }
}

fn is_grouped(site: &Site) -> bool {
    let depth = |tensor: Option<&Tensor>| tensor.and_then(|tensor| tensor.shape.last().copied());
    depth(site.weights()) != depth(site.input(0))
}

/// What stored weights have above the signed bytes that the kernel takes.
fn signed_offset(site: &Site) -> Result<i32, Refusal> {
    Ok(if site.need_input(1)?.element == Element::UINT8 {
        128
    } else {
        0
    })
}

/// What all three kinds have.
struct Common<'a> {
    /// As stored, with the element type's sign taken into account.
    weights: pack::Weights<'a>,
    /// Of the stored type; 0 for per-channel weights.
    weight_zero_point: i32,
    input_zero_point: i32,
    output_zero_point: i32,
    clamp: (i32, i32),
    bias: Vec<i32>,
    /// As the channel table takes them.
    factors: Vec<[i32; 2]>,
    rounding: u32,
}

impl<'a> Common<'a> {
    fn new(site: &Site<'a>, rounding: u32) -> Result<Self, Refusal> {
        let (weights, output) = (site.need_input(1)?, site.need_output()?);
        let data = weights
            .elements()
            .ok_or_else(|| LIMITS.refuse("weights without data"))?;
        let (output_scale, output_zero_point) = quantisation(output)?;
        let clamp = requantise::activation_range(
            site.activation(),
            output.element,
            output_scale,
            output_zero_point,
        )
        .ok_or_else(|| LIMITS.refuse(format!("an activation bound in steps of {output_scale}")))?;
        Ok(Self {
            weights: pack::Weights {
                data,
                signed: weights.element == Element::INT8,
            },
            weight_zero_point: size(
                "zero point",
                weights.quantization.as_ref().map_or(0, |q| q.zero_point(0)),
            )?,
            input_zero_point: quantisation(site.need_input(0)?)?.1,
            output_zero_point,
            clamp,
            bias: bias(site)?,
            factors: factors(site, rounding)?,
            rounding,
        })
    }

    /// What these output channels have.
    fn of_channels(&self, first: u32, count: u32) -> Self {
        let (first, count) = (first as usize, count as usize);
        let filter = self.weights.data.len() / self.factors.len().max(1);
        Self {
            weights: pack::Weights {
                data: &self.weights.data[first * filter..][..count * filter],
                ..self.weights
            },
            bias: self.bias[first..][..count].to_vec(),
            factors: self.factors[first..][..count].to_vec(),
            ..*self
        }
    }

    fn table(&self, fold: impl Fn(usize, i32) -> i32) -> Vec<u8> {
        let channels = self.factors.iter().zip(&self.bias).enumerate();
        pack::channel_table(channels.map(|(index, (&factor, &bias))| Channel {
            bias: fold(index, bias),
            factor,
        }))
    }
}

/// The bias of each output channel, zeros when there is none.
fn bias(site: &Site) -> Result<Vec<i32>, Refusal> {
    let channels = site.channels().unwrap_or(0) as usize;
    let Some(bias) = site.bias() else {
        return Ok(vec![0; channels]);
    };
    let values = constants::integers(bias).ok_or_else(|| LIMITS.refuse("a bias without data"))?;
    values
        .into_iter()
        .map(|value| size("bias", value))
        .collect()
}

/// The factor from sums to outputs of each output channel.
fn factors(site: &Site, rounding: u32) -> Result<Vec<[i32; 2]>, Refusal> {
    let weights = site.need_input(1)?;
    let scales = weights
        .quantization
        .as_ref()
        .map_or([].as_slice(), |q| &q.scales);
    match scales {
        [one] => Ok(vec![
            factor(site, *one, rounding)?;
            site.channels().unwrap_or(0) as usize
        ]),
        many => many
            .iter()
            .map(|&scale| factor(site, scale, rounding))
            .collect(),
    }
}

/// TFLite computes the ratio of scales in one of two ways, which differ in the last bits.
fn factor(site: &Site, weight_scale: f32, rounding: u32) -> Result<[i32; 2], Refusal> {
    let input = quantisation(site.need_input(0)?)?.0;
    let output = quantisation(site.need_output()?)?.0;
    if rounding == Rounding::EVEN {
        return xnnpack::factor(input, weight_scale, output)
            .ok_or_else(|| ratio_out_of_range(site));
    }
    let exact = requantise::channel_ratio(input, weight_scale, output);
    if rounding == Rounding::FLOAT {
        return Ok(requantise::float_words(exact));
    }
    let ratio = match site.one_weight_scale() {
        Some(weight_scale) => requantise::product_ratio(input, weight_scale, output),
        None => exact,
    };
    Multiplier::new(ratio)
        .map(Multiplier::words)
        .ok_or_else(|| ratio_out_of_range(site))
}
