//! The forms of operators with a state: one of several that TFLite has for each.

use super::Site;
use crate::graph::{Activation, Element, Options, Tensor};

/// Activations that are fused, by their numbers in the schema.
const RELU: Activation = Activation(1);
const TANH: Activation = Activation(4);

pub(super) fn svdf(site: &Site) -> Option<String> {
    let wanted = [
        (0, Element::INT8),
        (1, Element::INT8),
        (2, Element::INT16),
        (4, Element::INT16),
    ];
    let bias = site
        .input(3)
        .filter(|bias| !is_constant(bias, Element::INT32));
    of_microcontrollers(site)
        .or_else(|| other(site, &wanted))
        .or_else(|| computed(site, 1..3))
        .or_else(|| bias.map(described))
        .or_else(|| match site.operator.options {
            Options::Svdf {
                activation: RELU,
                rank,
            } if rank > 0 => None,
            options => Some(format!("{options:?}")),
        })
}

/// A state of int8, or weights by time: TFLite asks for no type there and takes any for int16, which ends behind
/// their bytes.
fn of_microcontrollers(site: &Site) -> Option<String> {
    let narrow = [2, 4].into_iter().filter_map(|i| site.input(i));
    let narrow = narrow
        .into_iter()
        .find(|tensor| tensor.element == Element::INT8)?;
    Some(format!(
        "{}, which only TensorFlow Lite Micro has: TFLite would read it as int16, past its end",
        described(narrow)
    ))
}

pub(super) fn lstm(site: &Site) -> Option<String> {
    let weights = (1..9).map(|i| (i, Element::INT8));
    let biases = (12..16).map(|i| (i, Element::INT32));
    let states = [
        (0, Element::INT8),
        (18, Element::INT8),
        (19, Element::INT16),
    ];
    let wanted: Vec<(usize, Element)> = states.into_iter().chain(weights).chain(biases).collect();
    let extra = [9..12, 16..18, 20..24].into_iter().flatten();
    let extra = extra.filter_map(|i| Some(format!("input {i}, {}", described(site.input(i)?))));
    other(site, &wanted)
        .or_else(|| computed(site, 1..9))
        .or_else(|| computed(site, 12..16))
        .or_else(|| extra.into_iter().next())
        .or_else(|| match site.operator.options {
            Options::Lstm {
                activation: TANH, ..
            } => None,
            options => Some(format!("{options:?}")),
        })
        .or_else(|| {
            let count = site.operator.intermediates.len();
            (count != 5).then(|| format!("{count} intermediates"))
        })
}

/// The first operand that isn't of the wanted type.
fn other(site: &Site, wanted: &[(usize, Element)]) -> Option<String> {
    let output = site
        .output()
        .filter(|output| output.element != Element::INT8);
    let inputs = wanted.iter().find_map(|&(i, element)| match site.input(i) {
        None => Some(format!("no input {i}")),
        Some(tensor) if tensor.element != element => Some(described(tensor)),
        Some(_) => None,
    });
    inputs.or_else(|| output.map(described))
}

fn computed(site: &Site, mut weights: std::ops::Range<usize>) -> Option<String> {
    let computed = weights.find_map(|i| site.input(i).filter(|tensor| tensor.data.is_none()));
    computed.map(|tensor| format!("{} that is computed", described(tensor)))
}

fn is_constant(tensor: &Tensor, element: Element) -> bool {
    tensor.data.is_some() && tensor.element == element
}

fn described(tensor: &Tensor) -> String {
    format!("{} {}", tensor.label(), tensor.element.name())
}
