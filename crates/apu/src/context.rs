//! One user of a model: its working memory, inputs, outputs and queue.

use std::time::Duration;

use crate::{Access, Buffer, Error, Job, Model, Queue, QueueOptions, Result, Segment, Tensor, Vm};

/// How a context runs.
#[derive(Clone, Copy, Debug)]
pub struct ContextOptions {
    /// Of its queue: priority, cores, and how long one inference may take on the device.
    pub queue: QueueOptions,
    /// How long [`Context::run`] waits for an inference, other clients' jobs included.
    pub patience: Duration,
}

impl Default for ContextOptions {
    fn default() -> Self {
        Self {
            queue: QueueOptions::default(),
            patience: Duration::from_secs(60),
        }
    }
}

/// Runs a model any number of times. An inference is one submit, one wait, and no allocation.
///
/// After an error the next run begins afresh: with a new queue when a job failed, with new memory,
/// in which no state is kept, when a job had to be left behind.
#[derive(Debug)]
pub struct Context {
    model: Model,
    options: ContextOptions,
    /// None after a job that may still run was left behind, until somebody needs it.
    session: Option<Session>,
}

/// What a device needs to run the model: all of it belongs to this context alone.
#[derive(Debug)]
struct Session {
    /// None after a failed job.
    queue: Option<Queue>,
    vm: Vm,
    job: Job,
    arena: Buffer,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
}

impl Context {
    pub(crate) fn new(model: Model, options: ContextOptions) -> Result<Self> {
        let session = Some(Session::new(&model)?);
        Ok(Self {
            model,
            options,
            session,
        })
    }

    /// The model that it runs.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Copies `inputs` in, runs, copies `outputs` out.
    ///
    /// # Errors
    /// [`Error::TensorCount`] or [`Error::TensorSize`] when something doesn't fit the model, before
    /// anything runs; else as [`Context::run_in_place`].
    pub fn run(&mut self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<()> {
        let program = self.model.program();
        check_sizes(
            "input",
            program.inputs(),
            inputs.iter().map(|bytes| bytes.len()),
        )?;
        check_sizes(
            "output",
            program.outputs(),
            outputs.iter().map(|bytes| bytes.len()),
        )?;
        for (index, from) in inputs.iter().enumerate() {
            self.input_mut(index)?.copy_from_slice(from);
        }
        self.run_in_place()?;
        for (index, to) in outputs.iter_mut().enumerate() {
            to.copy_from_slice(self.output(index)?);
        }
        Ok(())
    }

    /// The bytes of an input, to be written in place before [`run_in_place`](Context::run_in_place).
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn input_mut(&mut self, index: usize) -> Result<&mut [u8]> {
        let model = self.model.clone();
        let inputs = model.program().inputs();
        let missing = || Error::NoSuchTensor {
            what: "input",
            index,
            count: inputs.len(),
        };
        let size = inputs.get(index).ok_or_else(missing)?.size;
        let buffer = self.session()?.inputs.get_mut(index).ok_or_else(missing)?;
        buffer.bytes_mut().get_mut(..size).ok_or_else(missing)
    }

    /// The bytes of an output in place, as the last run left them.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`], or [`Error::NoOutputs`] after a run that was given up.
    pub fn output(&self, index: usize) -> Result<&[u8]> {
        let outputs = self.model.program().outputs();
        let missing = || Error::NoSuchTensor {
            what: "output",
            index,
            count: outputs.len(),
        };
        let size = outputs.get(index).ok_or_else(missing)?.size;
        let session = self.session.as_ref().ok_or(Error::NoOutputs)?;
        let buffer = session.outputs.get(index).ok_or_else(missing)?;
        buffer.bytes().get(..size).ok_or_else(missing)
    }

    /// Forgets what operators with a state, such as an LSTM, have kept of the runs so far.
    ///
    /// # Errors
    /// There is no new memory in place of some that a run left behind.
    pub fn reset(&mut self) -> Result<()> {
        self.session()?.arena.bytes_mut().fill(0);
        Ok(())
    }

    /// Runs on the inputs that are there.
    ///
    /// # Errors
    /// What stopped the job: [`Error::DeviceLost`], [`Error::JobTimedOut`], [`Error::Rejected`],
    /// [`Error::Faulted`] and so on; [`Error::WaitTimedOut`] after
    /// [`patience`](ContextOptions::patience), upon which the inputs are lost.
    pub fn run_in_place(&mut self) -> Result<()> {
        let options = self.options;
        let outcome = self.session()?.run(&options);
        if matches!(
            outcome,
            Err(Error::WaitTimedOut { .. } | Error::Call { .. })
        ) {
            // The device may still read and write that memory, so it is no longer ours to touch.
            self.session = None;
        }
        let program = self.model.program();
        outcome.map_err(|error| {
            error.with_operator_name(|index| {
                program
                    .operations()
                    .get(index)
                    .map(|op| format!("{} `{}`", op.kind, op.name))
            })
        })
    }

    /// Time of the device that all runs took together, by the device's own clock; none when it has
    /// not told. It begins anew after a failed run.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn device_time(&self) -> Result<Option<Duration>> {
        let queue = self.session.as_ref().and_then(|it| it.queue.as_ref());
        queue.map_or(Ok(None), Queue::device_time)
    }

    fn session(&mut self) -> Result<&mut Session> {
        match self.session {
            Some(ref mut session) => Ok(session),
            ref mut none => Ok(none.insert(Session::new(&self.model)?)),
        }
    }
}

impl Session {
    fn new(model: &Model) -> Result<Self> {
        let vm = model.device().create_vm()?;
        let program = model.program();
        let arena = model.device().create_buffer(
            usize::try_from(program.arena_size())
                .unwrap_or(usize::MAX)
                .max(1),
        )?;
        arena.set_label("arena");
        let inputs = create_buffers(model, "input", program.inputs())?;
        let outputs = create_buffers(model, "output", program.outputs())?;

        let code = vm.bind(model.code(), Access::ReadOnly)?;
        let mut segments = vec![
            used(
                vm.bind(model.constants(), Access::ReadOnly)?,
                program.constants().len(),
            ),
            vm.bind(&arena, Access::ReadWrite)?,
        ];
        for (buffer, tensor) in inputs.iter().zip(program.inputs()) {
            segments.push(used(vm.bind(buffer, Access::ReadOnly)?, tensor.size));
        }
        for (buffer, tensor) in outputs.iter().zip(program.outputs()) {
            segments.push(used(vm.bind(buffer, Access::ReadWrite)?, tensor.size));
        }
        let job = Job {
            program: used(code, program.code().len()),
            segments,
        };
        Ok(Self {
            queue: None,
            vm,
            job,
            arena,
            inputs,
            outputs,
        })
    }

    fn run(&mut self, options: &ContextOptions) -> Result<()> {
        let queue = match self.queue.take() {
            Some(queue) => queue,
            None => self.vm.create_queue(&options.queue)?,
        };
        // SAFETY: the buffers behind the job belong to this session (the model's own are never
        // written); `&mut self` is held until the fence is signalled, and when the wait gives up
        // the caller drops the session before anybody can borrow from it.
        let fence = unsafe { queue.submit(&self.job, &[]) }?;
        fence.wait(options.patience)?;
        self.queue = Some(queue);
        Ok(())
    }
}

/// The part of a bound range that is in use; never empty, so that it is an address in any case.
fn used(bound: Segment, size: usize) -> Segment {
    Segment {
        va: bound.va,
        size: (size as u64).max(1),
    }
}

fn create_buffers(model: &Model, what: &str, tensors: &[Tensor]) -> Result<Vec<Buffer>> {
    tensors
        .iter()
        .map(|tensor| {
            let buffer = model.device().create_buffer(tensor.size.max(1))?;
            buffer.set_label(&format!("{what} {}", tensor.name));
            Ok(buffer)
        })
        .collect()
}

fn check_sizes(
    what: &'static str,
    tensors: &[Tensor],
    given: impl ExactSizeIterator<Item = usize>,
) -> Result<()> {
    if tensors.len() != given.len() {
        return Err(Error::TensorCount {
            what,
            got: given.len(),
            needed: tensors.len(),
        });
    }
    for (index, (tensor, got)) in tensors.iter().zip(given).enumerate() {
        if tensor.size != got {
            return Err(Error::TensorSize {
                what,
                index,
                name: tensor.name.clone(),
                got,
                needed: tensor.size,
            });
        }
    }
    Ok(())
}
