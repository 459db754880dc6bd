// SPDX-License-Identifier: GPL-2.0

//! One device: its cores, what runs on them, and its living VMs.

use super::{
    job::{
        Job,
        JobId, //
    },
    queue::{
        Lane,
        Standing, //
    },
    seats::Seats,
    vm::Space,
    Driver,
    Online, //
};
use crate::{
    device,
    drm::sched::{
        Context,
        Scheduler, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_mutex,
        Arc,
        Mutex, //
    },
    time::Delta, //
};
use core::ops::{
    Deref,
    Range, //
};

/// Most cores of a device.
pub(super) const MAX_CORES: usize = 8;

/// How often the time of running jobs is checked; queues have timeouts of their own.
const TICK: Delta = Delta::from_millis(100);

/// The state of one device: the driver's, to which it dereferences, and the framework's.
#[pin_data]
pub struct Device<D: Driver> {
    #[pin]
    driver: D,
    pub(super) parent: ARef<device::Device>,
    /// Those of all cores for one lane after the other.
    pub(super) schedulers: KVec<Arc<Scheduler<Job<D>>>>,
    core_count: usize,
    /// Those who start jobs together now.
    pub(super) plugs: Atomic<u32>,
    /// Credits that a job takes of those of its core.
    job_credits: Atomic<u32>,
    last_job: Atomic<u64>,
    pub(super) last_queue: Atomic<u32>,
    #[pin]
    pub(super) spaces: Mutex<Spaces<D>>,
    /// Of all living queues.
    #[pin]
    pub(super) queues: Mutex<KVec<Arc<Standing>>>,
    #[pin]
    pub(super) engine: Mutex<Engine<D>>,
}

/// All living VMs. While this is locked no VM comes and none goes.
pub(super) struct Spaces<D: Driver> {
    pub(super) list: KVec<Arc<Space<D>>>,
    /// What the device can map; kept while it is lost.
    pub(super) va: Option<Range<u64>>,
    /// Parts of `va` for one VM each, see [`Online::windows`].
    pub(super) windows: u32,
    /// VMs that the device can hold.
    pub(super) limit: usize,
    last_id: u32,
}

/// What runs. Taken in the fence signalling path: nothing is allocated under its lock.
pub(super) struct Engine<D: Driver> {
    /// None when the device is lost.
    pub(super) online: Option<Online>,
    /// Counts losses.
    pub(super) losses: u64,
    /// Counts jobs that were started.
    pub(super) turns: u64,
    pub(super) cores: KVec<Seats<D>>,
}

impl<D: Driver> Device<D> {
    /// Creates the state of a device with up to `cores` cores, which is lost until
    /// [`attach`](Self::attach) is called.
    pub fn new<'a>(
        parent: &'a device::Device,
        cores: u32,
        driver: impl PinInit<D, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        try_pin_init!(Self {
            driver <- driver,
            parent: parent.into(),
            schedulers: Self::new_schedulers(parent, cores)?,
            core_count: cores as usize,
            plugs: Atomic::new(0),
            job_credits: Atomic::new(D::LIMITS.core_jobs),
            last_job: Atomic::new(0),
            last_queue: Atomic::new(0),
            spaces <- new_mutex!(Spaces {
                list: KVec::new(),
                va: None,
                windows: 1,
                limit: 0,
                last_id: 0,
            }),
            queues <- new_mutex!(KVec::new()),
            engine <- new_mutex!(Engine {
                online: None,
                losses: 0,
                turns: 0,
                cores: new_seats(cores)?,
            }),
        })
    }

    fn new_schedulers(parent: &device::Device, cores: u32) -> Result<KVec<Arc<Scheduler<Job<D>>>>> {
        let (name, credits) = (D::INFO.name, D::LIMITS.core_jobs);
        let mut schedulers = KVec::new();
        for _lane in 0..Lane::count(credits) {
            for core in 0..cores {
                let scheduler = Scheduler::new(parent, name, core, credits, TICK, Context::Caller)?;
                schedulers.push(scheduler, GFP_KERNEL)?;
            }
        }
        Ok(schedulers)
    }

    /// Where a core's scheduler is among all.
    pub(super) fn scheduler_index(&self, lane: Lane, core: usize) -> usize {
        lane as usize * self.core_count + core
    }

    /// The schedulers of the cores in `mask` (0: of all) that the device has, or [`EINVAL`] when it
    /// lacks one, or [`ENODEV`] when it is lost.
    pub(super) fn schedulers(&self, mask: u64, lane: Lane) -> Result<KVec<Arc<Scheduler<Job<D>>>>> {
        let online = self.online().ok_or(ENODEV)?;
        let all = u64::MAX >> (64 - online.cores.clamp(1, 64));
        if mask & !all != 0 {
            return Err(EINVAL);
        }
        let mask = if mask == 0 { all } else { mask };
        let mut chosen = KVec::new();
        let schedulers = self.schedulers.chunks(self.core_count).nth(lane as usize);
        for (core, scheduler) in schedulers.ok_or(EINVAL)?.iter().enumerate() {
            if mask & (1 << core) != 0 {
                chosen.push(scheduler.clone(), GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(chosen)
    }

    pub(super) fn core_limit(&self) -> usize {
        self.core_count.min(MAX_CORES)
    }

    /// Credits that a job takes of those of its core.
    pub(super) fn job_credits(&self) -> u32 {
        self.job_credits.load(Relaxed)
    }

    /// A core takes `jobs` jobs of each lane from now on.
    pub(super) fn set_core_jobs(&self, jobs: u32) {
        let credits = D::LIMITS.core_jobs;
        let each = credits.div_ceil(jobs.clamp(1, credits));
        self.job_credits.store(each, Relaxed);
    }

    pub(super) fn new_job_id(&self) -> JobId {
        self.last_job.fetch_add(1, Relaxed) + 1
    }
}

impl<D: Driver> Deref for Device<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.driver
    }
}

impl<D: Driver> Spaces<D> {
    /// Returns what a new VM can map, or why there can be none.
    pub(super) fn admit(&self) -> Result<Range<u64>> {
        let va = self.va.as_ref().ok_or(ENODEV)?;
        if self.list.len() >= self.limit {
            return Err(ENOSPC);
        }
        if self.windows <= 1 {
            return Ok(va.clone());
        }
        let taken = |window: &Range<u64>| self.list.iter().any(|space| space.va == *window);
        let mut windows = (0..self.windows).map(|index| window(va, self.windows, index));
        windows.find(|window| !taken(window)).ok_or(ENOSPC)
    }

    /// A number that no living VM has, never 0.
    pub(super) fn unused_id(&mut self) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let id = self.last_id;
            if id != 0 && !self.list.iter().any(|space| space.id() == id) {
                return id;
            }
        }
    }

    pub(super) fn remove(&mut self, space: &Arc<Space<D>>) {
        self.list.retain(|other| !Arc::ptr_eq(other, space));
    }
}

/// One of `count` parts of `va`, in whole pages.
fn window(va: &Range<u64>, count: u32, index: u32) -> Range<u64> {
    let pages = (va.end - va.start) / u64::from(count) / PAGE_SIZE as u64;
    let size = pages * PAGE_SIZE as u64;
    let start = va.start + u64::from(index) * size;
    start..start + size
}

// Nothing in it is pinned in place.
impl<D: Driver> Unpin for Engine<D> {}

impl<D: Driver> Engine<D> {
    /// The jobs on `core`, or [`ENODEV`].
    pub(super) fn seats(&mut self, core: u32) -> Result<&mut Seats<D>> {
        let online = self.online.as_ref().ok_or(ENODEV)?;
        if core >= online.cores {
            return Err(ENODEV);
        }
        self.cores.get_mut(core as usize).ok_or(ENODEV)
    }

    /// Whether `core` has room for one more job, or [`ENODEV`]. It has, unless the device came back
    /// as one that takes less.
    pub(super) fn check_place(&mut self, core: u32) -> Result {
        let online = self.online.as_ref().ok_or(ENODEV)?;
        let places = places(online.core_jobs);
        if self.seats(core)?.len() >= places {
            return Err(ENODEV);
        }
        Ok(())
    }
}

/// Jobs of all lanes that are on a core at once if it has `core_jobs` of each.
fn places(core_jobs: u32) -> usize {
    core_jobs as usize * Lane::count(core_jobs)
}

fn new_seats<D: Driver>(cores: u32) -> Result<KVec<Seats<D>>> {
    let mut all = KVec::new();
    for _ in 0..cores {
        all.push(Seats::new(places(D::LIMITS.core_jobs))?, GFP_KERNEL)?;
    }
    Ok(all)
}
