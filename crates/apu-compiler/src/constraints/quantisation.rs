//! Scales and zero points that the kernels can use.

use super::Site;
use crate::{
    graph::{Element, Opcode, Tensor},
    requantise::BinaryScales,
};

pub(super) fn activations(site: &Site) -> Option<String> {
    // What only moves elements leaves them alone, whatever they mean.
    let opcode = site.operator.opcode;
    if super::RESHAPING.contains(&opcode) || super::MOVING.contains(&opcode) {
        return None;
    }
    // These take stored values as they are.
    if super::AS_STORED.contains(&opcode) {
        return None;
    }
    site.activations().find_map(activation)
}

fn activation(tensor: &Tensor) -> Option<String> {
    let (low, high) = tensor.element.range()?;
    let Some((scale, zero_point)) = tensor.per_tensor() else {
        let scales = tensor.quantization.as_ref().map_or(0, |q| q.scales.len());
        return Some(format!("{} with {scales} scales", tensor.label()));
    };
    let range = i64::from(low)..=i64::from(high);
    (!usable(scale) || !range.contains(&zero_point)).then(|| {
        format!(
            "{} with scale {scale} and zero point {zero_point}",
            tensor.label()
        )
    })
}

/// Whether kernels can divide by this scale.
fn usable(scale: f32) -> bool {
    scale.is_finite() && scale > 0.0
}

pub(super) fn weights(site: &Site) -> Option<String> {
    let weights = site.weights()?;
    let Some(quantization) = &weights.quantization else {
        return Some("no scale".into());
    };
    let count = quantization.scales.len();
    let per_channel = weights.element == Element::INT8
        && Some(count) == site.channels().map(|c| c as usize)
        && usize::try_from(quantization.axis) == Ok(site.channel_axis());
    if count != 1 && !per_channel {
        return Some(format!(
            "{count} scales along dimension {} of {:?}",
            quantization.axis, weights.shape
        ));
    }
    let (low, high) = weights.element.range8()?;
    let zero_points = (0..count).map(|c| quantization.zero_point(c));
    if let Some(zero_point) = zero_points
        .into_iter()
        .find(|z| !(i64::from(low)..=i64::from(high)).contains(z))
    {
        return Some(format!("a zero point of {zero_point}"));
    }
    quantization
        .scales
        .iter()
        .find(|scale| !usable(**scale))
        .map(|scale| format!("a scale of {scale}"))
}

pub(super) fn symmetric_weights(site: &Site) -> Option<String> {
    if site.one_weight_scale().is_some() {
        return None;
    }
    let quantization = site.weights()?.quantization.as_ref()?;
    (0..quantization.scales.len())
        .map(|c| quantization.zero_point(c))
        .find(|&zero_point| zero_point != 0)
        .map(|zero_point| format!("a zero point of {zero_point}"))
}

/// TFLite checks this where it uses one scale for all channels; the difference would be an error in
/// the result.
pub(super) fn bias_scale(site: &Site) -> Option<String> {
    let (weights, bias) = (site.one_weight_scale()?, site.bias()?);
    let product = f64::from(site.input(0)?.per_tensor()?.0) * f64::from(weights);
    let bias = bias.per_tensor().map_or(0.0, |(scale, _)| f64::from(scale));
    let output = f64::from(site.output()?.per_tensor()?.0);
    ((product - bias).abs() / output > 0.02).then(|| format!("{bias} for a product of {product}"))
}

pub(super) fn softmax_output(site: &Site) -> Option<String> {
    let output = site.output()?;
    let (scale, zero_point) = output.per_tensor()?;
    let wanted: (f32, i64) = match (site.input(0)?.element, output.element) {
        (_, Element::INT8) => (1.0 / 256.0, -128),
        (Element::INT16, Element::INT16) => (1.0 / 32768.0, 0),
        _ => return None,
    };
    if let Some(wide) = wide_input(site) {
        return Some(wide);
    }
    (zero_point != wanted.1 || (scale - wanted.0).abs() > 0.001 * wanted.0)
        .then(|| format!("scale {scale} and zero point {zero_point}"))
}

/// Functions of int16 are computed without zero points, and some for one output scale.
pub(super) fn wide_function(site: &Site) -> Option<String> {
    let scale = site.output()?.per_tensor()?.0;
    let wide = site.output()?.element == Element::INT16;
    wide_zero_points(site)
        .or_else(|| (wide && scale != 1.0 / 32768.0).then(|| format!("an output scale of {scale}")))
}

/// The zero point of an int16 input, which its exponentials don't know.
fn wide_input(site: &Site) -> Option<String> {
    let input = site.input(0)?;
    let zero_point = input.per_tensor()?.1;
    (input.element == Element::INT16 && zero_point != 0)
        .then(|| format!("{} with a zero point of {zero_point}", input.label()))
}

pub(super) fn wide_zero_points(site: &Site) -> Option<String> {
    let wide = |tensor: &&Tensor| tensor.element == Element::INT16;
    let zero_points = site.activations().filter(wide);
    zero_points
        .filter_map(|tensor| Some((tensor, tensor.per_tensor()?.1)))
        .find(|&(_, zero_point)| zero_point != 0)
        .map(|(tensor, zero_point)| format!("{} with a zero point of {zero_point}", tensor.label()))
}

/// What TFLite takes where it shifts; of two inputs of an ADD it then takes one shape only.
pub(super) fn shifted(site: &Site) -> Option<String> {
    let shifts = site.shifts()?;
    let [a, b] = [site.input(0)?, site.input(1)?];
    let one_shape = site.operator.opcode == Opcode::SUB || a.shape == b.shape;
    let fits = shifts.contains(&0) && shifts.iter().all(|shift| (-15..=0).contains(shift));
    let scale = |tensor: &Tensor| tensor.per_tensor().map_or(0.0, |(scale, _)| scale);
    let scales = [scale(a), scale(b), scale(site.output()?)];
    (!fits || !one_shape).then(|| {
        format!(
            "scales {scales:?} for shapes {:?} and {:?}",
            a.shape, b.shape
        )
    })
}

/// The shifts of the quotient's fixed point must stay within 32 bits, whatever is divided.
pub(super) fn quotient(site: &Site) -> Option<String> {
    let scale = |tensor: &Tensor| tensor.per_tensor().map(|(scale, _)| scale);
    let output = site.output()?;
    output.element.range()?;
    let shifts = match output.element {
        Element::INT16 => 14..=15,
        _ => 7..=23,
    };
    let [a, b] = [scale(site.input(0)?)?, scale(site.input(1)?)?];
    let scales = BinaryScales::quotient(a, b, scale(output)?);
    let defined = scales.is_some_and(|scales| shifts.contains(&scales.output.shift));
    (!defined).then(|| format!("{} of {a} / {b}", scale(output).unwrap_or_default()))
}

/// Kinds whose kernels in TFLite are written for one output quantisation.
pub(super) fn fixed_output(site: &Site, int8: (f32, i64), uint8: (f32, i64)) -> Option<String> {
    let output = site.output()?;
    let wanted = match output.element {
        Element::INT8 => int8,
        Element::UINT8 => uint8,
        _ => return None,
    };
    let got = output.per_tensor()?;
    (got != wanted).then(|| format!("scale {} and zero point {}", got.0, got.1))
}
