//! Which kinds of operators there are, and with which attributes.

use super::Site;
use crate::graph::{Opcode, Options};

/// The kinds that can be placed, by name.
pub const SUPPORTED: [Opcode; 15] = [
    Opcode::ADD,
    Opcode::AVERAGE_POOL_2D,
    Opcode::CONV_2D,
    Opcode::DEPTHWISE_CONV_2D,
    Opcode::DEQUANTIZE,
    Opcode::EXPAND_DIMS,
    Opcode::FULLY_CONNECTED,
    Opcode::MAX_POOL_2D,
    Opcode::MEAN,
    Opcode::PAD,
    Opcode::PADV2,
    Opcode::QUANTIZE,
    Opcode::RESHAPE,
    Opcode::SOFTMAX,
    Opcode::SQUEEZE,
];

pub(super) fn operator(site: &Site) -> Option<String> {
    let opcode = site.operator.opcode;
    (!SUPPORTED.contains(&opcode)).then(|| match &site.operator.custom {
        Some(name) if opcode == Opcode::CUSTOM => format!("CUSTOM \"{name}\""),
        _ => opcode.to_string(),
    })
}

pub(super) fn activation(site: &Site) -> Option<String> {
    let activation = site.activation();
    activation
        .interval()
        .is_none()
        .then(|| activation.name().into())
}

pub(super) fn window(site: &Site) -> Option<String> {
    site.window()
        .is_none()
        .then(|| format!("{:?}", site.operator.options))
}

pub(super) fn weight_format(site: &Site) -> Option<String> {
    matches!(
        site.operator.options,
        Options::FullyConnected { shuffled: true, .. }
    )
    .then(|| "shuffled weights".into())
}
