//! A part of a model on the APU.

use apu::{Context, Device, Model, Program};
use apu_compiler::compile_graph;
use apu_compiler::graph::{Graph, Operator, Tensor, TensorId};
use tflite_delegate::{self as tflite, Kernel, Tensors};

use crate::error::Error;
use crate::import;
use crate::settings::Settings;

/// Operators that run as one program, and what goes in and comes out.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub operators: Vec<Operator>,
    /// Without constants; the operators' states are here and among the outputs.
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<TensorId>,
}

impl Part {
    /// Compiles the part for tensors as they are.
    pub fn compile(
        &self,
        tensors: Vec<Tensor>,
        settings: &Settings,
    ) -> Result<Vec<u8>, apu_compiler::Error> {
        let graph = Graph {
            name: String::new(),
            description: String::new(),
            tensors,
            operators: self.operators.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        };
        Ok(match &settings.cache {
            Some(cache) => cache.compile_graph(&graph, &settings.compile)?.program,
            None => compile_graph(&graph, &settings.compile)?.program,
        })
    }

    /// The shapes that the program depends on.
    fn shapes(&self, tensors: &Tensors) -> Vec<Vec<i32>> {
        let operands = self.operators.iter().flat_map(|operator| {
            let inputs = operator.inputs.iter().flatten();
            inputs.chain(&operator.outputs)
        });
        let shape = |&id| tensors.get(id).map_or(Vec::new(), |t| t.shape().into());
        operands.map(shape).collect()
    }
}

/// Runs a part, and compiles it anew when its shapes change.
pub(crate) struct ApuKernel {
    device: Device,
    settings: Settings,
    part: Part,
    shapes: Vec<Vec<i32>>,
    context: Context,
}

impl ApuKernel {
    /// Loads what the part was compiled to.
    pub fn new(
        device: &Device,
        settings: &Settings,
        part: Part,
        program: Program,
        tensors: &Tensors,
    ) -> apu::Result<Self> {
        Ok(Self {
            context: load(device, settings, program)?,
            shapes: part.shapes(tensors),
            device: device.clone(),
            settings: settings.clone(),
            part,
        })
    }
}

impl ApuKernel {
    /// Gives outputs their shape that the runtime knows none for: it would have worked it out in an
    /// operator that isn't run now.
    fn shape_outputs(&self, tensors: &mut Tensors) -> Result<(), tflite::Error> {
        let outputs = self.part.outputs.iter();
        for (&id, output) in outputs.zip(self.context.model().program().outputs()) {
            if tensors.get(id).is_some_and(|tensor| tensor.is_dynamic()) {
                let shape = output.shape.iter().map(|&d| i32::try_from(d));
                tensors.resize(id, &shape.collect::<Result<Vec<_>, _>>()?)?;
            }
        }
        Ok(())
    }
}

fn load(device: &Device, settings: &Settings, program: Program) -> apu::Result<Context> {
    let model = Model::load(device, program)?;
    model.context_with(settings.context)
}

impl Kernel for ApuKernel {
    fn prepare(&mut self, tensors: &mut Tensors) -> Result<(), tflite::Error> {
        let shapes = self.part.shapes(tensors);
        if shapes != self.shapes {
            let program = self
                .part
                .compile(import::tensors(tensors), &self.settings)
                .map_err(Error::Reshaped)?;
            self.context = load(&self.device, &self.settings, Program::parse(program)?)?;
            self.shapes = shapes;
        }
        self.shape_outputs(tensors)
    }

    fn invoke(&mut self, tensors: &mut Tensors) -> Result<(), tflite::Error> {
        for (index, &id) in self.part.inputs.iter().enumerate() {
            let to = self.context.input_mut(index)?;
            let from = tensors.get(id).and_then(|tensor| tensor.bytes());
            match from.filter(|from| from.len() == to.len()) {
                Some(from) => to.copy_from_slice(from),
                None => return Err(wrong_size(tensors, id, to.len()).into()),
            }
        }
        self.context.run_in_place()?;
        for (index, &id) in self.part.outputs.iter().enumerate() {
            let from = self.context.output(index)?;
            match tensors.bytes_mut(id).filter(|to| to.len() == from.len()) {
                Some(to) => to.copy_from_slice(from),
                None => return Err(wrong_size(tensors, id, from.len()).into()),
            }
        }
        Ok(())
    }
}

fn wrong_size(tensors: &Tensors, id: TensorId, needed: usize) -> Error {
    let tensor = tensors.get(id);
    let bytes = tensor.and_then(|tensor| tensor.bytes());
    Error::TensorSize {
        id,
        name: tensor.map_or(String::new(), |tensor| tensor.name().into_owned()),
        got: bytes.map_or(0, <[u8]>::len),
        needed,
    }
}
