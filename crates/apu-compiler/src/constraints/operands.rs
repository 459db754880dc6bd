//! Operands that must be there, be constant, or have certain types.

use super::{PADDING, Site, WEIGHTED};
use crate::{
    constants,
    graph::{Element, Opcode, Tensor},
};

pub(super) fn count(site: &Site) -> Option<String> {
    let opcode = site.operator.opcode;
    let (least, most) = match opcode {
        o if WEIGHTED.contains(&o) => (2, 3),
        Opcode::RESHAPE => (1, 2),
        Opcode::ADD | Opcode::EXPAND_DIMS | Opcode::MEAN | Opcode::PAD => (2, 2),
        Opcode::PADV2 => (3, 3),
        _ => (1, 1),
    };
    let inputs = &site.operator.inputs;
    let outputs = site.operator.outputs.len();
    if !(least..=most).contains(&inputs.len()) || outputs != 1 {
        return Some(format!("{} inputs and {outputs} outputs", inputs.len()));
    }
    (0..least)
        .find(|&i| site.input(i).is_none())
        .map(|i| format!("no input {i}"))
}

pub(super) fn storage(site: &Site) -> Option<String> {
    let inputs = (0..site.operator.inputs.len()).filter_map(|i| site.input(i));
    inputs.chain(site.output()).find_map(|tensor| match tensor {
        Tensor { sparse: true, .. } => Some(format!("sparse {}", tensor.label())),
        Tensor { variable: true, .. } => Some(format!("variable {}", tensor.label())),
        _ => None,
    })
}

pub(super) fn one_8bit_type(site: &Site) -> Option<String> {
    let wanted = site.output()?.element;
    if wanted.range8().is_none() {
        return Some(typed(site.output()?));
    }
    site.activations_in()
        .find(|t| t.element != wanted)
        .map(|t| format!("{}, and {}", typed(t), typed_output(site)))
}

pub(super) fn quantize_types(site: &Site) -> Option<String> {
    let allowed = |t: &Tensor| t.element == Element::FLOAT32 || t.element.range8().is_some();
    if !allowed(site.input(0)?) {
        return Some(typed(site.input(0)?));
    }
    site.output()?
        .element
        .range8()
        .is_none()
        .then(|| typed_output(site))
}

pub(super) fn dequantize_types(site: &Site) -> Option<String> {
    if site.input(0)?.element.range8().is_none() {
        return Some(typed(site.input(0)?));
    }
    (site.output()?.element != Element::FLOAT32).then(|| typed_output(site))
}

pub(super) fn one_plain_type(site: &Site) -> Option<String> {
    let input = site.input(0)?;
    (input.element.dtype().is_none() || input.element != site.output()?.element)
        .then(|| format!("{}, and {}", typed(input), typed_output(site)))
}

pub(super) fn weights(site: &Site) -> Option<String> {
    let weights = site.weights()?;
    if weights.data.is_none() {
        return Some(format!("{} that is computed", weights.label()));
    }
    (weights.element != site.input(0)?.element).then(|| typed(weights))
}

pub(super) fn bias(site: &Site) -> Option<String> {
    let bias = site.bias()?;
    let channels = u64::from(site.channels()?);
    match constants::integers(bias) {
        None => Some(format!(
            "{} that is computed or not an integer",
            bias.label()
        )),
        Some(_) if bias.element != Element::INT32 => Some(typed(bias)),
        Some(_) if bias.count() != channels => {
            Some(format!("{} elements for {channels} channels", bias.count()))
        }
        Some(_) => None,
    }
}

pub(super) fn axes(site: &Site) -> Option<String> {
    let axes = site.input(1)?;
    let rank = site.input(0)?.shape.len() as i64;
    let Some(values) = constants::integers(axes).filter(|_| axes.element == Element::INT32) else {
        return Some(format!(
            "{} {}",
            if axes.data.is_some() {
                "constant"
            } else {
                "computed"
            },
            typed(axes)
        ));
    };
    values
        .into_iter()
        .find(|axis| !(-rank..rank).contains(axis))
        .map(|axis| format!("axis {axis} of {rank}"))
}

pub(super) fn paddings(site: &Site) -> Option<String> {
    let paddings = site.input(1)?;
    let rank = site.input(0)?.shape.len() as u32;
    let wide_enough = matches!(paddings.element, Element::INT32 | Element::INT64);
    let Some(values) = constants::integers(paddings).filter(|_| wide_enough) else {
        return Some(format!(
            "{} {}",
            if paddings.data.is_some() {
                "constant"
            } else {
                "computed"
            },
            typed(paddings)
        ));
    };
    if paddings.shape != [rank, 2] {
        return Some(format!("shape {:?}", paddings.shape));
    }
    values
        .into_iter()
        .find(|value| *value < 0)
        .map(|value| format!("a padding of {value}"))
}

pub(super) fn padding_value(site: &Site) -> Option<String> {
    debug_assert!(PADDING.contains(&site.operator.opcode));
    let (value, output) = (site.input(2)?, site.output()?);
    if value.data.is_none() || value.count() != 1 || value.element != output.element {
        return Some(typed(value));
    }
    (value.element.range8().is_some() && value.per_tensor() != output.per_tensor())
        .then(|| format!("{:?} for {:?}", value.per_tensor(), output.per_tensor()))
}

fn typed(tensor: &Tensor) -> String {
    format!(
        "{} {}{:?}",
        tensor.label(),
        tensor.element.name(),
        tensor.shape
    )
}

fn typed_output(site: &Site) -> String {
    site.output().map(typed).unwrap_or_default()
}
