// SPDX-License-Identifier: GPL-2.0

//! The DRM scheduler: many queues of jobs, with dependencies and priorities, onto few engines.
//!
//! A [`Scheduler`] feeds one engine. An [`Entity`] is one queue; its jobs run in order on one of the
//! schedulers that it was made with. A [`Job`] is made and given its dependencies, then armed, which
//! promises its [finished fence](ArmedJob::finished), then pushed. Making and adding can fail, arming
//! and pushing can't.
//!
//! A job keeps its entity alive, an entity its schedulers, so that all of them may be dropped in any
//! order. Entities that a finished job was the last to hold are torn down in a system worker, not in
//! the scheduler's own.
//!
//! C header: [`include/drm/gpu_scheduler.h`](srctree/include/drm/gpu_scheduler.h)

use crate::{
    device,
    dma_fence::Fence,
    error::to_result,
    impl_has_work,
    new_work,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
    time::{
        msecs_to_jiffies,
        Delta, //
    },
    types::Opaque,
    workqueue::{
        self,
        Work,
        WorkItem, //
    }, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// What the scheduler asks of a job.
///
/// [`run`](Self::run) and [`timed_out`](Self::timed_out) are in the fence signalling path: they must
/// not allocate with reclaim nor take a lock that is held over such an allocation elsewhere.
pub trait JobOps: Send + Sized + 'static {
    /// Starts the job on the engine `core` of its scheduler. The job has finished when the returned
    /// fence is signalled; an error finishes it at once.
    fn run(&mut self, core: u32) -> Result<ARef<Fence>>;

    /// The scheduler's time has passed since the job was started, or since the last call.
    fn timed_out(&self) -> TimeoutStatus;
}

/// What became of a job that ran out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutStatus {
    /// It runs well and gets more time.
    NoHang,
    /// The engine was reset and goes on.
    Reset,
    /// The engine is gone.
    Enodev,
}

impl TimeoutStatus {
    fn into_raw(self) -> bindings::drm_gpu_sched_stat {
        match self {
            Self::NoHang => bindings::drm_gpu_sched_stat_DRM_GPU_SCHED_STAT_NO_HANG,
            Self::Reset => bindings::drm_gpu_sched_stat_DRM_GPU_SCHED_STAT_RESET,
            Self::Enodev => bindings::drm_gpu_sched_stat_DRM_GPU_SCHED_STAT_ENODEV,
        }
    }
}

/// How urgent the jobs of an entity are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// After all others.
    Low,
    /// The usual one.
    Normal,
    /// Before all others that userspace can ask for.
    High,
}

impl Priority {
    fn into_raw(self) -> bindings::drm_sched_priority {
        match self {
            Self::Low => bindings::drm_sched_priority_DRM_SCHED_PRIORITY_LOW,
            Self::Normal => bindings::drm_sched_priority_DRM_SCHED_PRIORITY_NORMAL,
            Self::High => bindings::drm_sched_priority_DRM_SCHED_PRIORITY_HIGH,
        }
    }
}

/// A scheduler, which feeds one engine.
///
/// It must not be dropped by one of its own jobs.
///
/// # Invariants
///
/// `inner` is initialised by `drm_sched_init()`.
#[pin_data(PinnedDrop)]
pub struct Scheduler<J: JobOps> {
    #[pin]
    inner: Opaque<bindings::drm_gpu_scheduler>,
    core: u32,
    /// The C side keeps a pointer to it for its messages.
    _parent: ARef<device::Device>,
    _jobs: PhantomData<fn(J)>,
}

// SAFETY: A `struct drm_gpu_scheduler` may be used and torn down on any thread.
unsafe impl<J: JobOps> Send for Scheduler<J> {}

// SAFETY: `&Scheduler` only gives its address to the C side, which synchronises its use.
unsafe impl<J: JobOps> Sync for Scheduler<J> {}

impl<J: JobOps> Scheduler<J> {
    const OPS: bindings::drm_sched_backend_ops = bindings::drm_sched_backend_ops {
        prepare_job: None,
        run_job: Some(JobInner::<J>::run_callback),
        timedout_job: Some(JobInner::<J>::timedout_callback),
        free_job: Some(JobInner::<J>::free_callback),
        // A job keeps its scheduler alive, so none is left when the scheduler goes.
        cancel_job: None,
    };

    /// Creates the scheduler of engine `core`. Jobs of up to `credits` credits in sum are on the
    /// engine at once; `timeout` is how often the oldest one is asked about its time.
    pub fn new(
        parent: &device::Device,
        name: &'static CStr,
        core: u32,
        credits: u32,
        timeout: Delta,
    ) -> Result<Arc<Self>> {
        let timeout = u32::try_from(timeout.as_millis()).map_err(|_| EINVAL)?;
        let args = bindings::drm_sched_init_args {
            ops: &Self::OPS,
            submit_wq: ptr::null_mut(),
            timeout_wq: ptr::null_mut(),
            num_rqs: bindings::drm_sched_priority_DRM_SCHED_PRIORITY_COUNT as u32,
            credit_limit: credits,
            hang_limit: 0,
            timeout: msecs_to_jiffies(timeout).try_into()?,
            score: ptr::null_mut(),
            name: name.as_char_ptr(),
            dev: parent.as_raw(),
        };
        Arc::pin_init(
            try_pin_init!(Self {
                // INVARIANT: Initialised here, or there is no `Self`.
                inner <- Opaque::try_ffi_init(|slot| {
                    // SAFETY: `slot` is valid for the scheduler's life and doesn't move; `args` is
                    // read now; what it points to lives on: `OPS` and `name` forever, `parent` by
                    // the reference in `_parent`.
                    to_result(unsafe { bindings::drm_sched_init(slot, &args) })
                }),
                core,
                _parent: parent.into(),
                _jobs: PhantomData,
            }),
            GFP_KERNEL,
        )
    }
}

#[pinned_drop]
impl<J: JobOps> PinnedDrop for Scheduler<J> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant; entities and jobs hold a reference to the scheduler, so none
        // is left.
        unsafe { bindings::drm_sched_fini(self.inner.get()) };
    }
}

/// A queue of jobs.
pub struct Entity<J: JobOps>(Arc<EntityInner<J>>);

/// # Invariants
///
/// `inner` is initialised by `drm_sched_entity_init()` on `list`, which points to the schedulers in
/// `_schedulers`.
#[pin_data(PinnedDrop)]
struct EntityInner<J: JobOps> {
    #[pin]
    inner: Opaque<bindings::drm_sched_entity>,
    #[pin]
    reaper: Work<Self>,
    list: KVec<*mut bindings::drm_gpu_scheduler>,
    _schedulers: KVec<Arc<Scheduler<J>>>,
}

// SAFETY: A `struct drm_sched_entity` may be used and torn down on any thread, and so may `list` be,
// which nobody changes.
unsafe impl<J: JobOps> Send for EntityInner<J> {}

// SAFETY: `&EntityInner` only gives the entity's address to the C side, which synchronises its use.
unsafe impl<J: JobOps> Sync for EntityInner<J> {}

impl_has_work! {
    impl{J: JobOps} HasWork<Self> for EntityInner<J> { self.reaper }
}

impl<J: JobOps> WorkItem for EntityInner<J> {
    type Pointer = Arc<Self>;

    fn run(entity: Arc<Self>) {
        drop(entity);
    }
}

impl<J: JobOps> Entity<J> {
    /// Creates a queue whose jobs run on any of `schedulers`.
    pub fn new(priority: Priority, schedulers: &[Arc<Scheduler<J>>]) -> Result<Self> {
        if schedulers.is_empty() {
            return Err(EINVAL);
        }
        let mut held = KVec::with_capacity(schedulers.len(), GFP_KERNEL_ACCOUNT)?;
        let mut list = KVec::with_capacity(schedulers.len(), GFP_KERNEL_ACCOUNT)?;
        for scheduler in schedulers {
            list.push(scheduler.inner.get(), GFP_KERNEL_ACCOUNT)?;
            held.push(scheduler.clone(), GFP_KERNEL_ACCOUNT)?;
        }
        let count = u32::try_from(list.len())?;
        let first = list.as_mut_ptr();
        let inner = Arc::pin_init(
            try_pin_init!(EntityInner {
                // INVARIANT: Initialised here, or there is no `EntityInner`.
                inner <- Opaque::try_ffi_init(|slot| {
                    // SAFETY: `slot` is valid for the entity's life and doesn't move; the `count`
                    // pointers at `first` are to initialised schedulers. Both live as long as the
                    // entity: `list` is never touched again and `_schedulers` holds the references.
                    to_result(unsafe {
                        bindings::drm_sched_entity_init(
                            slot,
                            priority.into_raw(),
                            first,
                            count,
                            ptr::null_mut(),
                        )
                    })
                }),
                reaper <- new_work!("drm::sched::Entity"),
                list,
                _schedulers: held,
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        Ok(Self(inner))
    }
}

#[pinned_drop]
impl<J: JobOps> PinnedDrop for EntityInner<J> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant; jobs hold a reference to the entity, so none is left.
        unsafe { bindings::drm_sched_entity_fini(self.inner.get()) };
    }
}

/// # Invariants
///
/// `base` is initialised by `drm_sched_job_init()` on `entity`.
#[repr(C)]
struct JobInner<J: JobOps> {
    base: Opaque<bindings::drm_sched_job>,
    /// Set when [`JobOps::run`] has returned: before that the job isn't asked about its time.
    ran: Atomic<bool>,
    entity: Arc<EntityInner<J>>,
    data: J,
}

impl<J: JobOps> JobInner<J> {
    /// # Safety
    ///
    /// `job` must be the `base` of a `JobInner<J>`.
    unsafe fn from_base(job: *mut bindings::drm_sched_job) -> *mut Self {
        // CAST: `base` is the first field of a `repr(C)` structure, and `Opaque` is transparent.
        job.cast()
    }

    unsafe extern "C" fn run_callback(
        job: *mut bindings::drm_sched_job,
    ) -> *mut bindings::dma_fence {
        // SAFETY: The scheduler's jobs are all made by `Job<J>`.
        let this = unsafe { Self::from_base(job) };
        // SAFETY: `sched` was set when the job was armed, to the `inner` of a `Scheduler<J>` that the
        // entity holds.
        let scheduler = unsafe {
            &*crate::container_of!(Opaque::cast_from((*job).sched), Scheduler<J>, inner)
        };
        // SAFETY: The job is called once, and until `ran` is set nobody else touches `data`.
        let data = unsafe { &mut (*this).data };
        let result = data.run(scheduler.core);
        // SAFETY: The job lives until it is freed, which happens after this has returned.
        unsafe { &(*this).ran }.store(true, Release);
        match result {
            // The scheduler takes the reference over.
            Ok(fence) => ARef::into_raw(fence).as_ptr().cast(),
            Err(error) => error.to_ptr(),
        }
    }

    unsafe extern "C" fn timedout_callback(
        job: *mut bindings::drm_sched_job,
    ) -> bindings::drm_gpu_sched_stat {
        // SAFETY: The scheduler's jobs are all made by `Job<J>`.
        let this = unsafe { Self::from_base(job) };
        // SAFETY: The scheduler doesn't free the job while it asks.
        if !unsafe { &(*this).ran }.load(Acquire) {
            return TimeoutStatus::NoHang.into_raw();
        }
        // SAFETY: `run()` has returned, so that `data` is only read until it is freed.
        unsafe { &(*this).data }.timed_out().into_raw()
    }

    unsafe extern "C" fn free_callback(job: *mut bindings::drm_sched_job) {
        // SAFETY: The scheduler's jobs are all made by `Job<J>`, and it is done with this one.
        drop(unsafe { OwnedJob::from_raw(NonNull::new_unchecked(Self::from_base(job))) });
    }
}

/// A job that Rust owns, not the scheduler.
///
/// # Invariants
///
/// `self.0` comes from a `KBox` and nobody else uses it.
struct OwnedJob<J: JobOps>(NonNull<JobInner<J>>);

impl<J: JobOps> OwnedJob<J> {
    /// # Safety
    ///
    /// `ptr` must come from a `KBox`, be initialised, and belong to the caller.
    unsafe fn from_raw(ptr: NonNull<JobInner<J>>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(ptr)
    }

    fn base(&self) -> *mut bindings::drm_sched_job {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { self.0.as_ref() }.base.get()
    }
}

impl<J: JobOps> Drop for OwnedJob<J> {
    fn drop(&mut self) {
        // SAFETY: By the invariants the job is initialised and nobody uses it any more.
        unsafe { bindings::drm_sched_job_cleanup(self.base()) };
        // SAFETY: By the type invariant; `self` isn't used after this.
        let JobInner { entity, data, .. } =
            KBox::into_inner(unsafe { KBox::from_raw(self.0.as_ptr()) });
        drop(data);
        // The scheduler's own worker frees jobs, and must not wait for itself.
        if let Some(last) = Arc::into_unique_or_drop(entity) {
            let _ = workqueue::system_unbound().enqueue(Arc::from(last));
        }
    }
}

/// A job that isn't promised to anybody yet. Dropping it takes it back.
pub struct Job<J: JobOps>(OwnedJob<J>);

// SAFETY: The job belongs to this alone, and `J`, `Arc<EntityInner>` and the C part are `Send`.
unsafe impl<J: JobOps> Send for Job<J> {}

impl<J: JobOps> Job<J> {
    /// Makes a job of `credits` credits, on behalf of the DRM client `client_id`.
    pub fn new(entity: &Entity<J>, credits: u32, client_id: u64, data: J) -> Result<Self> {
        let job = KBox::new(
            JobInner {
                base: Opaque::zeroed(),
                ran: Atomic::new(false),
                entity: entity.0.clone(),
                data,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        // SAFETY: `base` is valid memory for a job, and the entity is initialised and kept alive by
        // the job's own reference.
        to_result(unsafe {
            bindings::drm_sched_job_init(
                job.base.get(),
                entity.0.inner.get(),
                credits,
                ptr::null_mut(),
                client_id,
            )
        })?;
        let raw = KBox::into_raw(job);
        // SAFETY: `raw` comes from a `KBox`, and its `base` was initialised above.
        Ok(Self(unsafe { OwnedJob::from_raw(NonNull::new_unchecked(raw)) }))
    }

    /// Lets the job wait for `fence` before it runs.
    pub fn add_dependency(&mut self, fence: ARef<Fence>) -> Result {
        let fence = ARef::into_raw(fence).as_ptr().cast();
        // SAFETY: The job is initialised and not armed; the C side takes the reference to the fence
        // over, also when it fails.
        to_result(unsafe { bindings::drm_sched_job_add_dependency(self.0.base(), fence) })
    }

    /// Promises the job's finished fence. Jobs of one entity must be armed and pushed under one lock,
    /// else their fences are out of order.
    pub fn arm(self) -> ArmedJob<J> {
        // SAFETY: The job is initialised and not armed.
        unsafe { bindings::drm_sched_job_arm(self.0.base()) };
        ArmedJob(ManuallyDrop::new(self.0))
    }
}

/// A job whose finished fence has been promised. Dropping it pushes it.
pub struct ArmedJob<J: JobOps>(ManuallyDrop<OwnedJob<J>>);

impl<J: JobOps> ArmedJob<J> {
    /// The fence that is signalled when the job has finished, with the error if it failed.
    pub fn finished(&self) -> ARef<Fence> {
        // SAFETY: `s_fence` was allocated by drm_sched_job_init(), and its `finished` was initialised
        // when the job was armed; the job holds a reference to it.
        unsafe { Fence::from_raw(&raw mut (*(*self.0.base()).s_fence).finished) }.into()
    }

    /// Queues the job.
    pub fn push(self) {
        drop(self);
    }
}

impl<J: JobOps> Drop for ArmedJob<J> {
    fn drop(&mut self) {
        // SAFETY: The job is armed; from here it belongs to the scheduler, which frees it.
        unsafe { bindings::drm_sched_entity_push_job(self.0.base()) };
    }
}
