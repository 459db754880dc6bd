//! A VM, a mapped buffer with a program, a queue and two syncobjs: what a correct call needs. Each check
//! spoils one thing of a call that is otherwise correct.

use std::ops::Range;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use nix::errno::Errno;

use crate::node::{Node, Words};
use crate::program::Program;
use crate::uapi::{
    BIND_MAP, BoCreate, Job, PRIORITY_NORMAL, QueryDevice, QueueCreate, QueueGetState, Run,
    Segment, Submit, Sync, VmBind, VmBindOp, VmCreate,
};
use crate::unproven::{Kept, Succeeds, Unproven, holds, same};

/// Longer than anything that is not stuck takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Something to make calls with. Closing the file undoes everything.
pub struct Bench {
    /// A file of its own.
    pub node: Node,
    /// What the device is, and the limits of its interface.
    pub device: QueryDevice,
    /// A VM that has the work mapped.
    pub vm_id: u32,
    /// Device addresses of the VM.
    pub va: Range<u64>,
    /// The work's buffer, of four pages, mapped from the VM's first address on.
    pub bo: BoCreate,
    /// Copies its first page to the second.
    pub work: Work,
    /// A queue on the VM.
    pub queue_id: u32,
    /// A binary syncobj that is signalled.
    pub signalled: u32,
    /// A binary syncobj that no fence was ever put into.
    pub empty: u32,
}

/// A program in a buffer with its input and its output: pages of the input, of the output, of the code,
/// and one page of zeros.
pub struct Work {
    /// The buffer.
    pub bo: BoCreate,
    /// What is in it.
    pub words: Words,
    /// Where it is mapped.
    pub va: u64,
    /// Bytes from the input to the output, and from there to the code.
    pub pitch: u64,
    /// Bytes of the input.
    pub bytes: u64,
    /// Bytes of the code.
    pub code: u64,
}

/// A SUBMIT and the records that it points to.
#[allow(missing_docs)]
#[derive(Default)]
pub struct Parts {
    pub submit: Submit,
    pub jobs: [Job; 2],
    pub wait: Sync,
    pub signal: Sync,
    pub segments: [Segment; 4],
}

impl Work {
    /// Puts `program` into a new buffer of `node`, to be mapped at `va`.
    ///
    /// # Errors
    /// A call fails that had to succeed.
    pub fn new(node: &Node, page: u64, va: u64, program: &Program) -> Kept<Self> {
        let (bytes, code) = (u64::from(program.bytes), program.code.len() as u64);
        let pitch = bytes.next_multiple_of(page);
        let mut bo = BoCreate {
            size: 2 * pitch + code.next_multiple_of(page) + page,
            ..BoCreate::default()
        };
        node.call(&mut bo).succeeds("BO_CREATE")?;
        let words = node.words(bo.mmap_offset, bo.size as usize / size_of::<AtomicI32>());
        let work = Self {
            bo,
            words: words.succeeds("mmap")?,
            va,
            pitch,
            bytes,
            code,
        };
        let words = work.words.iter().skip(2 * pitch as usize / 4);
        for (word, bytes) in words.zip(program.code.chunks_exact(4)) {
            word.store(
                bytes
                    .iter()
                    .rev()
                    .fold(0, |sum, byte| sum << 8 | i32::from(*byte)),
                Relaxed,
            );
        }
        Ok(work)
    }

    /// Writes an input that is another one for each `seed`, and forgets the output.
    pub fn fill(&self, seed: i32) {
        let (input, output) = self.tensors();
        for ((index, input), output) in input.iter().enumerate().zip(output) {
            input.store(pattern(seed, index), Relaxed);
            output.store(0, Relaxed);
        }
    }

    /// That the output is a copy of the input that `seed` gave.
    ///
    /// # Errors
    /// Where it isn't.
    pub fn is_copied(&self, seed: i32) -> Kept {
        let (_, output) = self.tensors();
        for (index, word) in output.iter().enumerate() {
            let (seen, wanted) = (word.load(Relaxed), pattern(seed, index));
            holds(seen == wanted, || {
                format!(
                    "byte {} of the output: {seen:#010x}, wanted {wanted:#010x}",
                    index * 4
                )
            })?;
        }
        Ok(())
    }

    /// That nobody has written the output since [`fill`](Self::fill).
    ///
    /// # Errors
    /// Somebody has.
    pub fn is_untouched(&self) -> Kept {
        let (_, output) = self.tensors();
        holds(output.iter().all(|word| word.load(Relaxed) == 0), || {
            "the output was written".into()
        })
    }

    fn tensors(&self) -> (&[AtomicI32], &[AtomicI32]) {
        let (input, rest) = self.words.split_at(self.pitch as usize / 4);
        let count = self.bytes as usize / 4;
        (&input[..count], &rest[..count])
    }
}

/// Word `index` of the input that belongs to `seed`.
fn pattern(seed: i32, index: usize) -> i32 {
    (index as i32).wrapping_mul(0x9e37_79b1_u32 as i32) ^ seed.wrapping_mul(0x85eb_ca6b_u32 as i32)
}

impl Bench {
    /// Makes all of it in a new file.
    ///
    /// # Errors
    /// A call fails that had to succeed.
    pub fn new(node: Node) -> Kept<Self> {
        let mut vm = VmCreate::default();
        node.call(&mut vm).succeeds("VM_CREATE")?;
        // After the VM, which a device that is lost refuses. It may have gone since.
        let device = node.device().succeeds("QUERY")?;
        if device.target == [0; 32] {
            return Err(Unproven::lacking("the device has gone"));
        }
        let page = device.page_size.into();
        let copy = Program::copy(device.page_size, device.target);
        let work = Work::new(&node, page, vm.va_start, &copy)?;
        let signalled = node.syncobj(1).succeeds("SYNCOBJ_CREATE")?;
        let empty = node.syncobj(0).succeeds("SYNCOBJ_CREATE")?;
        let mut bench = Self {
            node,
            device,
            vm_id: vm.vm_id,
            va: vm.va_start..vm.va_end,
            bo: work.bo,
            work,
            queue_id: 0,
            signalled,
            empty,
        };
        bench.vm_bind(|_, _| ()).succeeds("VM_BIND")?;
        bench.queue_id = bench.create_queue(|_| ())?;
        Ok(bench)
    }

    /// The same for another client of the device.
    ///
    /// # Errors
    /// A call fails that had to succeed.
    pub fn another(&self) -> Kept<Self> {
        Self::new(self.node.another()?)
    }

    /// Puts `program` behind the bench's own work, or what of it was put there before.
    ///
    /// # Errors
    /// A call fails that had to succeed.
    pub fn load(&self, program: &Program) -> Kept<Work> {
        let work = Work::new(
            &self.node,
            self.page(),
            self.va.start + self.bo.size,
            program,
        )?;
        let bind = self.vm_bind(|_, op| {
            (op.bo_handle, op.va, op.size) = (work.bo.handle, work.va, work.bo.size);
        });
        bind.succeeds("VM_BIND")?;
        Ok(work)
    }

    /// A queue, once `change` has changed its options.
    ///
    /// # Errors
    /// [`Unproven::Broken`] if the kernel refuses.
    pub fn create_queue(&self, change: impl FnOnce(&mut QueueCreate)) -> Kept<u32> {
        let mut queue = self.queue();
        change(&mut queue);
        self.node.call(&mut queue).succeeds("QUEUE_CREATE")?;
        Ok(queue.queue_id)
    }

    /// A correct QUEUE_CREATE.
    pub fn queue(&self) -> QueueCreate {
        QueueCreate {
            vm_id: self.vm_id,
            priority: PRIORITY_NORMAL,
            ..QueueCreate::default()
        }
    }

    /// Bytes of a page.
    pub fn page(&self) -> u64 {
        self.device.page_size.into()
    }

    /// A VM_BIND of one operation that maps the bench's buffer, once `spoil` has changed it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn vm_bind(&self, spoil: impl FnOnce(&mut VmBind, &mut VmBindOp)) -> Result<(), Errno> {
        let mut op = VmBindOp {
            kind: BIND_MAP,
            bo_handle: self.bo.handle,
            va: self.va.start,
            size: self.bo.size,
            ..VmBindOp::default()
        };
        let mut bind = VmBind {
            vm_id: self.vm_id,
            op_count: 1,
            op_stride: size_of::<VmBindOp>() as u32,
            ops: address(&op),
            ..VmBind::default()
        };
        spoil(&mut bind, &mut op);
        self.node.call(&mut bind)
    }

    /// A SUBMIT of one job of the bench's own work, without waits, once `spoil` has changed it. Returns
    /// the syncobj of its end.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn submit(&self, spoil: impl FnOnce(&mut Parts)) -> Result<u32, Errno> {
        self.submit_work(&self.work, spoil)
    }

    /// The same for a job of `work`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn submit_work(&self, work: &Work, spoil: impl FnOnce(&mut Parts)) -> Result<u32, Errno> {
        let ended = self.node.syncobj(0)?;
        self.submit_until(ended, work, spoil)?;
        Ok(ended)
    }

    /// The same, with the job's end in the syncobj `ended`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn submit_until(
        &self,
        ended: u32,
        work: &Work,
        spoil: impl FnOnce(&mut Parts),
    ) -> Result<(), Errno> {
        let tensor = |at| Segment {
            va: work.va + at * work.pitch,
            size: work.bytes,
        };
        let mut parts = Parts {
            wait: Sync {
                handle: self.signalled,
                ..Sync::default()
            },
            signal: Sync {
                handle: ended,
                ..Sync::default()
            },
            // No constants, no arena.
            segments: [Segment::default(), Segment::default(), tensor(0), tensor(1)],
            ..Parts::default()
        };
        let run = Run {
            program_va: work.va + 2 * work.pitch,
            program_size: work.code,
            segments: address(&parts.segments),
            segment_count: parts.segments.len() as u32,
            segment_stride: size_of::<Segment>() as u32,
        };
        parts.jobs = [Job {
            waits: address(&parts.wait),
            signals: address(&parts.signal),
            signal_count: 1,
            sync_stride: size_of::<Sync>() as u32,
            run,
            ..Job::default()
        }; 2];
        parts.submit = Submit {
            queue_id: self.queue_id,
            job_count: 1,
            job_stride: size_of::<Job>() as u32,
            jobs: address(&parts.jobs),
            ..Submit::default()
        };
        spoil(&mut parts);
        self.node.call(&mut parts.submit)
    }

    /// That a job of the bench's own work does what it should.
    ///
    /// # Errors
    /// What it did instead.
    pub fn works(&self, seed: i32) -> Kept {
        self.work.fill(seed);
        self.ends(self.submit(|_| ()).succeeds("SUBMIT")?)?;
        let state = self.state()?;
        same("state of the queue", state.state, crate::uapi::QUEUE_OK)?;
        self.work.is_copied(seed)
    }

    /// Waits for the end of a job, well or not.
    ///
    /// # Errors
    /// It doesn't come.
    pub fn ends(&self, syncobj: u32) -> Kept {
        match self.node.wait(syncobj, PATIENCE) {
            Err(Errno::ETIME) => Err(Unproven::broken(format!(
                "the job did not end within {PATIENCE:?}"
            ))),
            waited => waited.succeeds("SYNCOBJ_WAIT"),
        }
    }

    /// How the bench's queue does.
    ///
    /// # Errors
    /// [`Unproven::Broken`] if the kernel refuses.
    pub fn state(&self) -> Kept<QueueGetState> {
        self.state_of(self.queue_id)
    }

    /// How a queue does.
    ///
    /// # Errors
    /// [`Unproven::Broken`] if the kernel refuses.
    pub fn state_of(&self, queue_id: u32) -> Kept<QueueGetState> {
        let mut state = QueueGetState {
            queue_id,
            ..QueueGetState::default()
        };
        self.node.call(&mut state).succeeds("QUEUE_GET_STATE")?;
        Ok(state)
    }
}

/// The address of something for the kernel to read.
pub fn address<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance() as u64
}
