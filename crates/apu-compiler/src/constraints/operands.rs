//! Operands that must be there, be constant, or have certain types.

use super::{PADDING, Site, support::kind};
use crate::{
    constants,
    graph::{Element, Tensor},
};

pub(super) fn count(site: &Site) -> Option<String> {
    let kind = kind(site.operator.opcode)?;
    let ((least, most), (fewest, largest)) = (kind.inputs, kind.outputs);
    let inputs = site.operator.inputs.len();
    let outputs = site.operator.outputs.len();
    if !(least..=most).contains(&inputs) || !(fewest..=largest).contains(&outputs) {
        return Some(format!("{inputs} inputs and {outputs} outputs"));
    }
    let needed = match most {
        // Of any number of inputs none may be left out.
        usize::MAX => inputs,
        // What these can do without stands among what they can't.
        _ if kind.state != (0, 0) => 1,
        _ => least,
    };
    (0..needed)
        .find(|&i| site.input(i).is_none())
        .map(|i| format!("no input {i}"))
}

pub(super) fn storage(site: &Site) -> Option<String> {
    let (from, to) = kind(site.operator.opcode)?.state;
    let inputs = (0..site.operator.inputs.len()).filter_map(|i| Some((i, site.input(i)?)));
    let is_state = |i: usize| (from..to).contains(&i);
    let inputs = inputs.map(|(i, tensor)| (is_state(i), tensor));
    let mut tensors = inputs.chain(site.output().map(|output| (false, output)));
    tensors.find_map(|(is_state, tensor)| match tensor {
        Tensor { sparse: true, .. } => Some(format!("sparse {}", tensor.label())),
        Tensor { variable, .. } if *variable != is_state => {
            let kept = if *variable { "variable" } else { "fixed" };
            Some(format!("{kept} {}", tensor.label()))
        }
        _ => None,
    })
}

/// Whether activations and outputs have one type among these.
pub(super) fn one_type_of(site: &Site, types: &[Element]) -> Option<String> {
    let wanted = site.activations_in().next()?.element;
    site.activations()
        .find(|t| t.element != wanted || !types.contains(&t.element))
        .map(|t| {
            if types.contains(&wanted) {
                format!("{} beside {}", typed(t), wanted.name())
            } else {
                typed(t)
            }
        })
}

/// Whether the factors of a product have one type, or the second one fewer bits.
pub(super) fn matmul_types(site: &Site) -> Option<String> {
    let (first, second) = (site.input(0)?, site.input(1)?);
    if first.element == Element::INT16 && second.element == Element::INT8 {
        let zero_point = second.per_tensor().map_or(0, |(_, zero_point)| zero_point);
        return (site.output()?.element != first.element || zero_point != 0)
            .then(|| format!("{} with a zero point of {zero_point}", typed(second)));
    }
    one_type_of(site, &[Element::INT8, Element::INT16])
}

/// Whether the activations have one type among these, and the outputs another.
pub(super) fn types_from_to(site: &Site, from: &[Element], to: Element) -> Option<String> {
    let wanted = site.activations_in().next()?.element;
    let mut inputs = site.activations_in();
    inputs
        .find(|t| t.element != wanted || !from.contains(&t.element))
        .or_else(|| site.outputs().find(|t| t.element != to))
        .map(typed)
}

/// Whether the activations have one type, or shares of bytes are as fine as int16.
pub(super) fn softmax_types(site: &Site) -> Option<String> {
    let (input, output) = (site.input(0)?, site.output()?);
    if input.element.range8().is_some() && output.element == Element::INT16 {
        return None;
    }
    let types = [
        Element::INT8,
        Element::UINT8,
        Element::INT16,
        Element::FLOAT32,
    ];
    one_type_of(site, &types)
}

pub(super) fn quantize_types(site: &Site) -> Option<String> {
    let (input, output) = (site.input(0)?, site.output()?);
    match (input.element, output.element) {
        (Element::INT32, Element::INT8 | Element::INT16) | (Element::INT16, Element::INT32) => {
            return None;
        }
        _ => {}
    }
    if input.element != Element::FLOAT32 && input.element.range().is_none() {
        return Some(typed(input));
    }
    let narrowed = input.element == Element::INT16 && output.element == Element::UINT8;
    (narrowed || output.element.range().is_none()).then(|| typed_output(site))
}

pub(super) fn dequantize_types(site: &Site) -> Option<String> {
    if site.input(0)?.element.range().is_none() {
        return Some(typed(site.input(0)?));
    }
    (site.output()?.element != Element::FLOAT32).then(|| typed_output(site))
}

/// Whether activations and outputs have one type that the program knows.
pub(super) fn one_plain_type(site: &Site) -> Option<String> {
    let wanted = site.activations_in().next()?.element;
    site.activations()
        .find(|t| t.element != wanted || t.element.dtype().is_none())
        .map(|t| format!("{} beside {}", typed(t), wanted.name()))
}

pub(super) fn searched(site: &Site) -> Option<String> {
    let input = site.input(0)?;
    let types = [
        Element::INT8,
        Element::UINT8,
        Element::FLOAT32,
        Element::INT32,
        Element::BOOL,
    ];
    if !types.contains(&input.element) {
        return Some(typed(input));
    }
    integer_output(site)
}

pub(super) fn castable(site: &Site) -> Option<String> {
    site.activations()
        .find(|t| t.element.dtype().is_none())
        .map(typed)
}

pub(super) fn selected(site: &Site) -> Option<String> {
    let condition = site.input(0)?;
    if condition.element != Element::BOOL {
        return Some(typed(condition));
    }
    one_plain_type(site)
}

pub(super) fn integer_output(site: &Site) -> Option<String> {
    let output = site.output()?;
    (!matches!(output.element, Element::INT32 | Element::INT64)).then(|| typed(output))
}

pub(super) fn indices(site: &Site) -> Option<String> {
    let indices = site.input(1)?;
    let types = [Element::INT16, Element::INT32, Element::INT64];
    (!types.contains(&indices.element)).then(|| typed(indices))
}

/// Operands that only say what to do must be known before the run.
pub(super) fn arguments(site: &Site) -> Option<String> {
    let (from, to) = kind(site.operator.opcode)?.data;
    (0..site.operator.inputs.len())
        .filter(|index| !(from..to).contains(index))
        .filter_map(|index| site.input(index))
        .find(|argument| constants::integers(argument).is_none())
        .map(|argument| format!("{}, computed or no integers", typed(argument)))
}

pub(super) fn weights(site: &Site) -> Option<String> {
    let weights = site.weights()?;
    if weights.data.is_none() {
        return Some(format!("{} that is computed", weights.label()));
    }
    let wanted = match site.input(0)?.element {
        Element::INT16 => Element::INT8,
        element => element,
    };
    (weights.element != wanted).then(|| typed(weights))
}

pub(super) fn bias(site: &Site) -> Option<String> {
    let bias = site.bias()?;
    let channels = u64::from(site.channels()?);
    let wanted = match site.input(0)?.element {
        Element::INT16 => Element::INT64,
        _ => Element::INT32,
    };
    match constants::integers(bias) {
        None => Some(format!(
            "{} that is computed or not an integer",
            bias.label()
        )),
        Some(_) if bias.element != wanted => Some(typed(bias)),
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
