//! What the device computes on the way through a model: programs whose outputs are the tensors between.

use std::collections::HashMap;

use apu::Program;
use apu_compiler::graph::{Graph, TensorId};
use apu_compiler::{Numerics, Options, compile_graph};
use apu_proto::message::MAX_SEGMENTS;
use apu_proto::program::SEGMENT_IO;

use super::places;
use crate::args::DeviceArg;
use crate::command::load;
use crate::error::Error;
use crate::model_file::ModelFile;

/// Runs programs of one model on one device with the same inputs.
pub struct Runner<'a> {
    model: &'a ModelFile,
    numerics: Numerics,
    device: &'a DeviceArg,
    inputs: &'a [Vec<u8>],
}

impl<'a> Runner<'a> {
    pub fn new(
        model: &'a ModelFile,
        numerics: Numerics,
        device: &'a DeviceArg,
        inputs: &'a [Vec<u8>],
    ) -> Self {
        Self {
            model,
            numerics,
            device,
            inputs,
        }
    }

    /// What each operator computes, by tensor. A program has a few outputs, so it takes several.
    pub fn tensors(&self, graph: &Graph) -> Result<HashMap<TensorId, Vec<u8>>, Error> {
        let has_elements = |id: &TensorId| graph.tensors.get(*id).is_some_and(|t| t.bytes() > 0);
        let wanted: Vec<TensorId> = places(graph)
            .map(|(_, id)| id)
            .filter(has_elements)
            .collect();
        let at_once = MAX_SEGMENTS.saturating_sub(SEGMENT_IO as usize + graph.inputs.len());
        let mut tensors = HashMap::new();
        for some in wanted.chunks(at_once.max(1)) {
            let part = Graph {
                outputs: some.to_vec(),
                ..graph.clone()
            };
            let outputs = self.outputs(self.compile(&part)?)?;
            tensors.extend(some.iter().copied().zip(outputs));
        }
        Ok(tensors)
    }

    fn compile(&self, graph: &Graph) -> Result<Program, Error> {
        let options = Options {
            numerics: self.numerics,
            ..Options::default()
        };
        let compiled = compile_graph(graph, &options);
        self.model.parse(
            compiled
                .map_err(|source| self.model.refused(source))?
                .program,
        )
    }

    /// The outputs of a program.
    pub fn outputs(&self, program: Program) -> Result<Vec<Vec<u8>>, Error> {
        let device = Error::device(&self.device.device);
        let mut context = load(self.device, program)?;
        for (index, bytes) in self.inputs.iter().enumerate() {
            context
                .input_mut(index)
                .map_err(&device)?
                .copy_from_slice(bytes);
        }
        context.run_in_place().map_err(&device)?;
        let count = context.model().program().outputs().len();
        (0..count)
            .map(|index| {
                Ok(context
                    .output(index)
                    .map_err(Error::device(&self.device.device))?
                    .to_vec())
            })
            .collect()
    }
}
