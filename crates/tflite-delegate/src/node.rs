//! Typed views of a graph's nodes.

use core::slice;
use std::borrow::Cow;

use crate::arrays::elements;
use crate::params::Params;
use crate::sys;
use crate::tensor::{TensorId, text};

/// One operator of a graph.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    node: &'a sys::Node,
    registration: &'a sys::RegistrationHead,
}

impl<'a> Node<'a> {
    /// Both come from one call of `GetNodeAndRegistration`.
    pub(crate) fn new(node: &'a sys::Node, registration: &'a sys::RegistrationHead) -> Self {
        Self { node, registration }
    }

    /// Its number in the schema's `BuiltinOperator`.
    pub fn operator(&self) -> i32 {
        self.registration.builtin_code
    }

    /// Name of a custom operator.
    pub fn custom_name(&self) -> Option<Cow<'a, str>> {
        let name = self.registration.custom_name;
        // SAFETY: the runtime's names are NULL or C strings that live as long as the graph.
        (!name.is_null()).then(|| unsafe { text(name) })
    }

    /// Attributes of a custom operator, as the model has them.
    pub fn custom_data(&self) -> &'a [u8] {
        let (data, size) = (
            self.node.custom_initial_data,
            self.node.custom_initial_data_size,
        );
        match usize::try_from(size) {
            // SAFETY: the runtime keeps that many bytes of the model there, as long as the graph.
            Ok(size) if !data.is_null() => unsafe { slice::from_raw_parts(data.cast(), size) },
            _ => &[],
        }
    }

    /// Version of the operator's semantics.
    pub fn version(&self) -> i32 {
        self.registration.version
    }

    /// Inputs in the schema's order; `None` where an optional one is left out.
    pub fn inputs(&self) -> impl Iterator<Item = Option<TensorId>> + use<'a> {
        // SAFETY: NULL or the runtime's array, which lives with the graph.
        let ids: &[i32] = unsafe { elements(self.node.inputs) };
        ids.iter().map(|&id| TensorId::try_from(id).ok())
    }

    /// Outputs in the schema's order.
    pub fn outputs(&self) -> impl Iterator<Item = TensorId> + use<'a> {
        // SAFETY: NULL or the runtime's array, which lives with the graph.
        let ids: &[i32] = unsafe { elements(self.node.outputs) };
        ids.iter().filter_map(|&id| TensorId::try_from(id).ok())
    }

    /// Tensors that only say how what is between an operator's sums is quantised.
    pub fn intermediates(&self) -> impl Iterator<Item = TensorId> + use<'a> {
        // SAFETY: NULL or the runtime's array, which lives with the graph.
        let ids: &[i32] = unsafe { elements(self.node.intermediates) };
        ids.iter().filter_map(|&id| TensorId::try_from(id).ok())
    }

    /// The attributes, if they are of this kind and there are any.
    pub fn params<P: Params>(&self) -> Option<P> {
        let known = P::OPERATORS.contains(&self.operator()) && self.version() >= P::SINCE;
        if !known || self.node.builtin_data.is_null() {
            return None;
        }
        // SAFETY: `Params` promises that the runtime keeps such a structure there for this
        // operator and version, and any bytes are a value of it.
        Some(unsafe { self.node.builtin_data.cast::<P>().read() })
    }
}
