//! A VM, a mapped buffer, a queue and two syncobjs: what a correct call needs. Each test spoils one
//! thing of a call that is otherwise correct.

use std::time::Duration;

use rustix::io::Errno;

use super::node::Node;
use super::uapi::{
    BIND_MAP, BoCreate, Job, PRIORITY_NORMAL, QueryDevice, QueueCreate, QueueGetState, Run,
    Segment, Submit, Sync, SyncobjCreate, VmBind, VmBindOp, VmCreate,
};
use crate::skip::Skip;

/// Longer than anything that is not stuck takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Something to make calls with. Closing the file undoes everything.
pub struct Bench {
    /// A file of its own.
    pub node: Node,
    /// What the device is, and the limits of its interface.
    pub device: QueryDevice,
    /// A VM that has the buffer mapped.
    pub vm_id: u32,
    /// Of four pages, mapped from `va_start` on.
    pub bo: BoCreate,
    /// A queue on the VM.
    pub queue_id: u32,
    /// A binary syncobj that is signalled.
    pub signalled: u32,
    /// A binary syncobj that no fence was ever put into.
    pub empty: u32,
}

/// A SUBMIT and the records that it points to.
#[allow(missing_docs)]
#[derive(Default)]
pub struct Parts {
    pub submit: Submit,
    pub jobs: [Job; 2],
    pub wait: Sync,
    pub signal: Sync,
    pub segments: [Segment; 2],
}

impl Bench {
    /// Opens the node under test and makes all of it.
    ///
    /// # Errors
    /// [`Skip`] when the device under test is not a node.
    pub fn new() -> Result<Self, Skip> {
        let node = Node::open()?;
        let device = node.device();
        let mut vm = VmCreate::default();
        node.call(&mut vm).expect("VM_CREATE");
        let mut bo = BoCreate {
            size: 4 * u64::from(device.page_size),
            ..BoCreate::default()
        };
        node.call(&mut bo).expect("BO_CREATE");
        let (signalled, empty) = (signalled(&node), node.syncobj());
        let mut bench = Self {
            node,
            device,
            vm_id: vm.vm_id,
            bo,
            queue_id: 0,
            signalled,
            empty,
        };
        bench.vm_bind(|_, _| ()).expect("VM_BIND");
        bench.queue_id = bench.create_queue();
        Ok(bench)
    }

    /// A queue with the usual options.
    pub fn create_queue(&self) -> u32 {
        let mut queue = self.queue();
        self.node.call(&mut queue).expect("QUEUE_CREATE");
        queue.queue_id
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

    /// A VM_BIND of one operation that maps the buffer, once `spoil` has changed it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn vm_bind(&self, spoil: impl FnOnce(&mut VmBind, &mut VmBindOp)) -> Result<(), Errno> {
        let mut op = VmBindOp {
            kind: BIND_MAP,
            bo_handle: self.bo.handle,
            va: self.device.va_start,
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

    /// A SUBMIT of one job without waits, once `spoil` has changed it. The kernel takes the job; the
    /// firmware rejects it, because the buffer holds no program. Returns the syncobj of its end.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn submit(&self, spoil: impl FnOnce(&mut Parts)) -> Result<u32, Errno> {
        let ended = self.node.syncobj();
        let mut parts = Parts {
            wait: Sync {
                handle: self.signalled,
                ..Sync::default()
            },
            signal: Sync {
                handle: ended,
                ..Sync::default()
            },
            segments: [Segment {
                va: self.device.va_start,
                size: self.page(),
            }; 2],
            ..Parts::default()
        };
        let run = Run {
            program_va: self.device.va_start + 2 * self.page(),
            program_size: 192,
            segments: address(&parts.segments),
            segment_count: 2,
            segment_stride: size_of::<Segment>() as u32,
        };
        let signals = address(&parts.signal);
        let sync_stride = size_of::<Sync>() as u32;
        let waits = address(&parts.wait);
        parts.jobs = [Job {
            waits,
            signals,
            signal_count: 1,
            sync_stride,
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
        self.node.call(&mut parts.submit)?;
        Ok(ended)
    }

    /// How the queue does.
    pub fn state(&self) -> QueueGetState {
        let mut state = QueueGetState {
            queue_id: self.queue_id,
            ..QueueGetState::default()
        };
        self.node.call(&mut state).expect("QUEUE_GET_STATE");
        state
    }
}

/// The address of something for the kernel to read.
pub fn address<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

fn signalled(node: &Node) -> u32 {
    let mut create = SyncobjCreate {
        flags: 1,
        ..SyncobjCreate::default()
    };
    node.call(&mut create).expect("a signalled syncobj");
    create.handle
}
