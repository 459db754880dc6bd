// SPDX-License-Identifier: GPL-2.0

//! What the framework asks of this driver.

use crate::{
    envelope::{
        Blank,
        RunBlank, //
    },
    link::Link,
    memory::{
        Memory,
        Pages,
        Space, //
    },
    message::{
        Cancel,
        Map,
        Run,
        Segment,
        Sync,
        Unmap,
        VmCreate,
        VmDestroy,
        MAP_READ_ONLY, //
    },
    page_table::Tables,
    payload::MAX_QUEUED_JOBS,
    quarantine::Reachable,
    transport::Transport, //
};
use core::ops::Range;
use kernel::{
    device::{
        self,
        Bound,
        DeviceContext, //
    },
    drm::{
        self,
        accel::tiny::{
            Bo,
            BoRange,
            Device,
            Driver,
            File,
            JobId,
            Limits,
            Part,
            Placement, //
        }, //
    },
    fmt,
    prelude::*,
    sync::Arc,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// Mappings of one VM.
const MAX_MAPPINGS: usize = 100_000;
/// Jobs that a core has at most, so that it gets many together and never waits for the next one.
const CORE_JOBS: u32 = 32;

/// The driver's state of one device.
#[pin_data]
pub(crate) struct Apu {
    #[pin]
    pub(crate) link: Link,
    memory: Arc<dyn Memory>,
}

/// A VM that the firmware knows since `connection`.
pub(crate) struct Vm {
    id: u32,
    connection: u64,
    space: KBox<dyn Space>,
    /// Lets the VM go even without memory: the VM_DESTROY and its SYNC.
    farewell: Option<(Blank<VmDestroy>, Blank<Sync>)>,
}

/// Memory that the device can reach, and be told of by a token if that is its way.
pub(crate) struct Mapping {
    pages: Arc<Pages>,
    token: Option<u64>,
    memory: Arc<dyn Memory>,
    _reachable: Option<Reachable<Arc<Pages>>>,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            self.memory.unshare(token);
        }
    }
}

/// What changes of mappings take.
#[derive(Default)]
pub(crate) struct Room {
    /// For an UNMAP and a MAP of each change.
    blanks: KVec<Blank<Map>>,
    /// For the SYNC of a flush.
    sync: Option<Blank<Sync>>,
    /// For one between the changes.
    pause: Option<Blank<Sync>>,
    tables: Tables,
}

impl Room {
    fn blank(&mut self) -> Result<Blank<Map>> {
        self.blanks.pop().ok_or(ENOMEM)
    }
}

/// A job with the envelopes of its RUN and CANCEL.
pub(crate) struct Job {
    pub(crate) program: Segment,
    pub(crate) segment_count: u16,
    pub(crate) run: Option<RunBlank>,
    pub(crate) cancel: Option<Blank<Cancel>>,
}

impl Apu {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        memory: Arc<dyn Memory>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            link <- Link::new(transport, memory.clone()),
            memory,
        })
    }

    /// Whether VMs can be changed asynchronously.
    pub(crate) fn binds_async(&self) -> bool {
        self.memory.maps_without_allocating()
    }
}

impl Driver for Apu {
    type Vm = Vm;
    type VmId = u32;
    type Mapping = Mapping;
    type Room = Room;
    type Job = Job;

    const LIMITS: Limits = Limits {
        // What a token of the simulated device can span.
        bo_size: 1 << 32,
        bo_bytes: 1 << 36,
        vms: 16,
        queues: 64,
        mappings: MAX_MAPPINGS,
        queued_jobs: MAX_QUEUED_JOBS,
        core_jobs: CORE_JOBS,
    };

    fn vm_create(&self, _parent: &device::Device<Bound>, id: u32) -> Result<Vm> {
        let vm = Vm {
            id,
            connection: self.link.connection()?,
            space: self.memory.vm_create()?,
            farewell: Some((Blank::new()?, Blank::new()?)),
        };
        let create = VmCreate {
            vm: id,
            pad: 0,
            root: vm.space.root(),
        };
        self.link.send(vm.connection, &create)?;
        Ok(vm)
    }

    fn vm_id(vm: &Vm) -> u32 {
        vm.id
    }

    fn vm_destroy(&self, vm: &mut Vm) -> Result {
        let (destroy, sync) = vm.farewell.take().ok_or(ENODEV)?;
        let destroy = destroy.fill(&VmDestroy { vm: vm.id, pad: 0 });
        self.link.hand_over(vm.connection, destroy)?;
        self.link.sync(vm.connection, sync, false)
    }

    fn share(&self, parent: &device::Device<Bound>, range: BoRange<Self>) -> Result<Mapping> {
        let pages = Pages::pin(parent, range)?;
        let quarantine = self.memory.quarantine().cloned();
        let reachable = quarantine.map(|place| Reachable::new(pages.clone(), place));
        Ok(Mapping {
            _reachable: reachable.transpose()?,
            token: self.memory.share(parent, pages.clone())?,
            pages,
            memory: self.memory.clone(),
        })
    }

    fn reserve(&self, room: &mut Room, map: Option<&Range<u64>>) -> Result {
        room.blanks.push(Blank::new()?, GFP_KERNEL_ACCOUNT)?;
        if room.sync.is_none() {
            room.sync = Some(Blank::new()?);
        }
        if room.pause.is_none() {
            room.pause = Some(Blank::new()?);
        }
        if let Some(va) = map {
            room.blanks.push(Blank::new()?, GFP_KERNEL_ACCOUNT)?;
            self.memory.reserve(&mut room.tables, va)?;
        }
        Ok(())
    }

    fn map(&self, vm: &mut Vm, part: Part<'_, Self>, room: &mut Room) -> Result {
        let Part { va, offset, .. } = part;
        let Mapping { pages, token, .. } = part.mapping;
        vm.space.map(va.clone(), pages, offset, &mut room.tables)?;
        let Some(token) = token else {
            return Ok(());
        };
        let map = Map {
            vm: vm.id,
            flags: if pages.writable() { 0 } else { MAP_READ_ONLY },
            va: va.start,
            size: va.end - va.start,
            token: self.memory.part(*token, offset),
        };
        let map = room.blank()?.fill(&map);
        self.link.post_change(vm.connection, map, &mut room.pause)
    }

    fn unmap(&self, vm: &mut Vm, va: Range<u64>, room: &mut Room) -> Result {
        vm.space.unmap(va.clone())?;
        let unmap = Unmap {
            vm: vm.id,
            pad: 0,
            va: va.start,
            size: va.end - va.start,
        };
        let unmap = room.blank()?.fill(&unmap);
        self.link.post_change(vm.connection, unmap, &mut room.pause)
    }

    fn flush(&self, vm: &mut Vm, room: &mut Room) -> Result {
        let blank = room.sync.take().ok_or(ENOMEM)?;
        self.link.sync(vm.connection, blank, true)?;
        vm.space.settle();
        Ok(())
    }

    fn run_job(&self, job: &mut Job, placement: Placement<Self>) -> Result {
        let blank = job.run.take().ok_or(EINVAL)?;
        let run = Run {
            job: placement.job,
            vm: placement.vm,
            core: u16::try_from(placement.core)?,
            priority: placement.priority.urgency(),
            program: job.program,
            segment_count: job.segment_count,
            max_cores: u16::try_from(placement.max_cores)?,
            queue: placement.queue,
            // They are in the envelope.
            segments: Default::default(),
        };
        self.link.post_run(blank, run)
    }

    fn kick(&self) {
        self.link.kick();
    }

    fn is_silent(&self, since: Instant<Monotonic>) -> bool {
        self.link.is_silent(since)
    }

    fn cancel_job(&self, job: &mut Job, id: JobId) {
        if let Some(blank) = job.cancel.take() {
            // A device that is gone needs no cancel.
            let _ = self.link.post(blank.fill(&Cancel { job: id }));
        }
    }

    fn suspend(&self) -> Result {
        self.link.suspend()
    }

    fn resume(&self) {
        self.link.resume();
    }

    fn reset(&self) {
        self.link.cut();
    }

    fn dump(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.link.log.write(out)?;
        self.link.history.write(out)
    }
}

#[vtable]
impl drm::Driver for Apu {
    type Data = Device<Self>;
    type RegistrationData<'a> = ();
    type Object = Bo<Self>;
    type File = File<Self>;
    type ParentDevice<Ctx: DeviceContext> = device::Device<Ctx>;

    const INFO: drm::DriverInfo = drm::DriverInfo {
        major: 1,
        minor: 7,
        patchlevel: 0,
        name: c"apu",
        desc: c"APU accelerator",
    };

    const FEAT_COMPUTE_ACCEL: bool = true;
    const FEAT_SYNCOBJ: bool = true;
    const FEAT_SYNCOBJ_TIMELINE: bool = true;

    fn show_fdinfo(file: &drm::File<File<Self>>, printer: &drm::print::Printer) {
        File::show_fdinfo(file, printer);
    }

    kernel::declare_drm_ioctls! {
        (APU_QUERY, drm_apu_query, 0, crate::ioctl::query),
        (APU_BO_CREATE, drm_apu_bo_create, 0, crate::ioctl::bo_create),
        (APU_VM_CREATE, drm_apu_vm_create, 0, crate::ioctl::vm_create),
        (APU_VM_DESTROY, drm_apu_vm_destroy, 0, crate::ioctl::vm_destroy),
        (APU_VM_BIND, drm_apu_vm_bind, 0, crate::ioctl::vm_bind),
        (APU_QUEUE_CREATE, drm_apu_queue_create, 0, crate::ioctl::queue_create),
        (APU_QUEUE_DESTROY, drm_apu_queue_destroy, 0, crate::ioctl::queue_destroy),
        (APU_QUEUE_GET_STATE, drm_apu_queue_get_state, 0, crate::ioctl::queue_get_state),
        (APU_SUBMIT, drm_apu_submit, 0, crate::ioctl::submit),
        (APU_VM_GET_STATE, drm_apu_vm_get_state, 0, crate::ioctl::vm_get_state),
        (APU_BO_SET_LABEL, drm_apu_bo_set_label, 0, crate::ioctl::bo_set_label),
    }
}
