//! What an entry is named by: all that a program depends on.

use crate::{
    Options,
    graph::{Graph, Tensor},
};

/// Of a program or a key.
pub(super) type Hash = [u8; blake3::OUT_LEN];

/// Ends the name of an entry.
pub(super) const EXTENSION: &str = "program";

/// The name of an entry.
pub(super) struct Key(blake3::Hash);

impl Key {
    pub fn of_model(model: &[u8], options: &Options) -> Self {
        let mut parts = Parts::new("model", options);
        parts.add(model);
        Self(parts.0.finalize())
    }

    pub fn of_graph(graph: &Graph, options: &Options) -> Self {
        let mut parts = Parts::new("graph", options);
        for tensor in &graph.tensors {
            parts.tensor(tensor);
        }
        let Graph {
            name,
            description,
            tensors: _,
            operators,
            inputs,
            outputs,
        } = graph;
        parts.text(&(name, description, operators, inputs, outputs));
        Self(parts.0.finalize())
    }

    /// What vouches for the content of the entry of this name.
    pub fn hash(&self, program: &[u8]) -> Hash {
        blake3::keyed_hash(self.0.as_bytes(), program).into()
    }

    /// The entry's file.
    pub fn name(&self) -> String {
        format!("{}.{EXTENSION}", self.0.to_hex())
    }
}

/// A hash over parts, each with its length, so that no two lists of parts are one text.
struct Parts(blake3::Hasher);

impl Parts {
    fn new(kind: &str, options: &Options) -> Self {
        let mut parts = Self(blake3::Hasher::new());
        parts.add(env!("APU_COMPILER").as_bytes());
        parts.add(kind.as_bytes());
        parts.text(options);
        parts
    }

    fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// Something whose debug output tells all of it.
    fn text(&mut self, part: &impl std::fmt::Debug) {
        self.add(format!("{part:?}").as_bytes());
    }

    fn tensor(&mut self, tensor: &Tensor) {
        let Tensor {
            name,
            shape,
            element,
            quantization,
            data,
            sparse,
            variable,
        } = tensor;
        let constant = data.is_some();
        self.text(&(
            name,
            shape,
            element,
            quantization,
            constant,
            sparse,
            variable,
        ));
        self.add(data.as_deref().unwrap_or_default());
    }
}
