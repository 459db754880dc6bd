// SPDX-License-Identifier: GPL-2.0

//! The DRM scheduler: many queues of jobs, with dependencies and priorities, onto few engines.
//!
//! A [`Scheduler`] feeds one engine. An [`Entity`] is one queue; its jobs run in order on one of
//! the schedulers that it was made with. A [`Job`] is made and given its dependencies, which can
//! fail, then [pushed](Job::push), which can't: that is when its finished fence is promised.
//!
//! A job keeps its entity alive, an entity its schedulers, so that all of them may be dropped in
//! any order. Entities that a finished job was the last to hold are torn down in a system worker,
//! not in the scheduler's own.
//!
//! C header: [`include/drm/gpu_scheduler.h`](srctree/include/drm/gpu_scheduler.h)

use crate::{
    device,
    dma_fence::{
        Fence,
        Signalling, //
    },
    error::to_result,
    ffi,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        Mutex, //
    },
    time::{
        msecs_to_jiffies,
        Delta, //
    },
    types::Opaque,
    ThisModule, //
};
#[cfg(CONFIG_RUST_DRM_EXEC)]
use crate::{
    drm::{
        exec::{
            Locked,
            Use, //
        },
        gem::IntoGEMObject, //
    },
    sync::aref::AlwaysRefCounted, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    }, //
};

mod reaper;
pub(crate) use reaper::Reaper;

/// What the scheduler asks of a job.
///
/// [`run`](Self::run) and [`timed_out`](Self::timed_out) are in the fence signalling path: they
/// must not allocate with reclaim nor take a lock that is held over such an allocation elsewhere.
/// Lockdep checks that.
///
/// A job is dropped in process context, after it has finished. Who runs and drops jobs is for
/// [`Context`] to say; if others than workers do, dropping is in the fence signalling path, too.
pub trait JobOps: Send + Sized + 'static {
    /// Starts the job on the engine `core` of its scheduler. The job has finished when the returned
    /// fence is signalled; an error finishes it at once.
    fn run(&mut self, core: u32) -> Result<ARef<Fence>>;

    /// The scheduler's time has passed since the job was started, or since the last call.
    ///
    /// Either makes sure that the fence from [`run`](Self::run) is signalled, with an error, now or
    /// later, after the engine has been stopped; or does nothing, which gives the job as much time
    /// again.
    fn timed_out(&self);
}

/// How urgent the jobs of an entity are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// After all others.
    Low,
    /// The usual one.
    Normal,
    /// Before the two above.
    High,
    /// Before all others.
    Kernel,
}

impl Priority {
    fn into_raw(self) -> bindings::drm_sched_priority {
        match self {
            Self::Low => bindings::drm_sched_priority_DRM_SCHED_PRIORITY_LOW,
            Self::Normal => bindings::drm_sched_priority_DRM_SCHED_PRIORITY_NORMAL,
            Self::High => bindings::drm_sched_priority_DRM_SCHED_PRIORITY_HIGH,
            Self::Kernel => bindings::drm_sched_priority_DRM_SCHED_PRIORITY_KERNEL,
        }
    }
}

/// Makes a job of another entity that depends on the fence wait for the end of its job. Without it
/// the start is enough if both are on one scheduler, as if engines always ran jobs in the order in
/// which they get them.
const DONT_PIPELINE: ffi::c_ulong =
    bindings::dma_fence_flag_bits_DMA_FENCE_FLAG_USER_BITS as ffi::c_ulong;

/// In whose context jobs are run and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A worker's.
    Worker,
    /// That of whoever pushes a job or has ended one, who calls [`Scheduler::run_now`] then; a
    /// worker's when that can't be, as for a job that has waited for a fence.
    Caller,
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
    credits: u32,
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
    /// engine at once, started in `context`; `timeout`, in milliseconds, is how often the oldest
    /// one is asked about its time.
    ///
    /// Fails with [`EINVAL`] if `credits` or `timeout` isn't positive: a scheduler without credits
    /// never runs a job, and a job without a timeout may never signal its fence.
    pub fn new(
        parent: &device::Device,
        name: &'static CStr,
        core: u32,
        credits: u32,
        timeout: Delta,
        context: Context,
    ) -> Result<Arc<Self>> {
        let timeout = u32::try_from(timeout.as_millis()).map_err(|_| EINVAL)?;
        if credits == 0 || timeout == 0 {
            return Err(EINVAL);
        }
        let args = bindings::drm_sched_init_args {
            ops: &Self::OPS,
            submit_wq: ptr::null_mut(),
            timeout_wq: ptr::null_mut(),
            num_rqs: bindings::drm_sched_priority_DRM_SCHED_PRIORITY_COUNT as u32,
            credit_limit: credits,
            hang_limit: 0,
            timeout: msecs_to_jiffies(timeout).try_into()?,
            score: ptr::null_mut(),
            direct: context == Context::Caller,
            name: name.as_char_ptr(),
            dev: parent.as_raw(),
        };
        Arc::pin_init(
            try_pin_init!(Self {
                // INVARIANT: Initialised here, or there is no `Self`.
                inner <- Opaque::try_ffi_init(|slot: *mut bindings::drm_gpu_scheduler| {
                    // The C side takes memory that isn't zero for a scheduler that is there.
                    // SAFETY: `slot` is valid for writes.
                    unsafe { slot.write_bytes(0, 1) };
                    // SAFETY: `slot` is valid for the scheduler's life and doesn't move; `args` is
                    // read now; what it points to lives on: `OPS` and `name` forever, `parent` by
                    // the reference in `_parent`.
                    to_result(unsafe { bindings::drm_sched_init(slot, &args) })
                }),
                core,
                credits,
                _parent: parent.into(),
                _jobs: PhantomData,
            }),
            GFP_KERNEL,
        )
    }

    /// Frees the jobs that have finished and runs those that are next, so that none has to wait for
    /// a worker. To be called after fences of jobs were signalled, where sleeping and dropping jobs
    /// is allowed.
    ///
    /// In [`Context::Caller`], without this call the same happens only when the scheduler's time
    /// has passed the next time.
    pub fn run_now(&self) {
        // SAFETY: By the type invariant; the caller's reference keeps the scheduler.
        unsafe { bindings::drm_sched_run_now(self.inner.get()) };
    }
}

#[pinned_drop]
impl<J: JobOps> PinnedDrop for Scheduler<J> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant; entities and jobs hold a reference to the scheduler, so
        // none is left.
        unsafe { bindings::drm_sched_fini(self.inner.get()) };
    }
}

/// A queue of jobs.
pub struct Entity<J: JobOps>(Arc<EntityInner<J>>);

/// # Invariants
///
/// `inner` is initialised by `drm_sched_entity_init()` on `list`, which points to the schedulers in
/// `schedulers`.
#[pin_data(PinnedDrop)]
struct EntityInner<J: JobOps> {
    #[pin]
    inner: Opaque<bindings::drm_sched_entity>,
    /// Held from when a job is armed to when it is pushed.
    #[pin]
    order: Mutex<()>,
    reaper: Arc<Reaper>,
    list: KVec<*mut bindings::drm_gpu_scheduler>,
    schedulers: KVec<Arc<Scheduler<J>>>,
}

// SAFETY: A `struct drm_sched_entity` may be used and torn down on any thread, and so may `list`
// be, which nobody changes.
unsafe impl<J: JobOps> Send for EntityInner<J> {}

// SAFETY: `&EntityInner` only gives the entity's address to the C side, which synchronises its use.
unsafe impl<J: JobOps> Sync for EntityInner<J> {}

impl<J: JobOps> Entity<J> {
    /// Creates a queue whose jobs run on any of `schedulers`, or fails with [`EINVAL`] if there is
    /// none. `J` is a type of the module `owner`, which stays as long as the queue does.
    pub fn new(
        priority: Priority,
        schedulers: &[Arc<Scheduler<J>>],
        owner: &'static ThisModule,
    ) -> Result<Self> {
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
        let reaper = Reaper::new(owner)?;
        let inner = Arc::pin_init(
            try_pin_init!(EntityInner {
                // INVARIANT: Initialised here, or there is no `EntityInner`.
                inner <- Opaque::try_ffi_init(|slot| {
                    // SAFETY: `slot` is valid for the entity's life and doesn't move; the `count`
                    // pointers at `first` are to initialised schedulers. Both live as long as the
                    // entity: `list` is never touched again and `schedulers` holds the references.
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
                order <- new_mutex!((), "drm::sched::Entity::order"),
                reaper,
                list,
                schedulers: held,
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

    /// # Safety
    ///
    /// For the scheduler only, as `run_job` in [`Scheduler::OPS`].
    unsafe extern "C" fn run_callback(
        job: *mut bindings::drm_sched_job,
    ) -> *mut bindings::dma_fence {
        // SAFETY: The scheduler's jobs are all made by `Job<J>`.
        let this = unsafe { Self::from_base(job) };
        // SAFETY: `sched` was set when the job was armed, to the `inner` of a `Scheduler<J>` that
        // the entity holds.
        let scheduler =
            unsafe { &*crate::container_of!(Opaque::cast_from((*job).sched), Scheduler<J>, inner) };
        // SAFETY: The job is called once, and until `ran` is set nobody else touches `data`.
        let data = unsafe { &mut (*this).data };
        let signalling = Signalling::begin();
        let result = data.run(scheduler.core);
        drop(signalling);
        // SAFETY: The job lives until it is freed, which happens after this has returned.
        unsafe { &(*this).ran }.store(true, Release);
        match result {
            // The scheduler takes the reference over.
            Ok(fence) => ARef::into_raw(fence).as_ptr().cast(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// For the scheduler only, as `timedout_job` in [`Scheduler::OPS`].
    unsafe extern "C" fn timedout_callback(
        job: *mut bindings::drm_sched_job,
    ) -> bindings::drm_gpu_sched_stat {
        // SAFETY: The scheduler's jobs are all made by `Job<J>`.
        let this = unsafe { Self::from_base(job) };
        // SAFETY: The scheduler doesn't free the job while it asks.
        if unsafe { &(*this).ran }.load(Acquire) {
            let _signalling = Signalling::begin();
            // SAFETY: `run()` has returned, so that `data` is only read until it is freed.
            unsafe { &(*this).data }.timed_out();
        }
        // The scheduler took the job off its list to ask. Only this answer makes it put the job
        // back, to be freed when its fence is signalled; after the others the driver would have to
        // stop and restart the scheduler, and with it all other jobs.
        bindings::drm_gpu_sched_stat_DRM_GPU_SCHED_STAT_NO_HANG
    }

    /// # Safety
    ///
    /// For the scheduler only, as `free_job` in [`Scheduler::OPS`].
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
        let reaper = entity.reaper.clone();
        if let Some(last) = Arc::into_unique_or_drop(entity) {
            reaper.reap(Arc::from(last));
        }
    }
}

/// A job that isn't promised to anybody yet. Dropping it takes it back.
pub struct Job<J: JobOps>(OwnedJob<J>);

// SAFETY: The job belongs to this alone, and `J`, `Arc<EntityInner>` and the C part are `Send`.
unsafe impl<J: JobOps> Send for Job<J> {}

impl<J: JobOps> Job<J> {
    /// Makes a job of `credits` credits, on behalf of the DRM client `client_id`.
    ///
    /// Fails with [`EINVAL`] if there are no credits, or more than one of the entity's schedulers
    /// has.
    pub fn new(entity: &Entity<J>, credits: u32, client_id: u64, data: J) -> Result<Self> {
        let schedulers = &entity.0.schedulers;
        if credits == 0
            || schedulers
                .iter()
                .any(|scheduler| credits > scheduler.credits)
        {
            return Err(EINVAL);
        }
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
        Ok(Self(unsafe {
            OwnedJob::from_raw(NonNull::new_unchecked(raw))
        }))
    }

    /// What it was made of.
    pub fn data(&self) -> &J {
        // SAFETY: By the type invariant of `OwnedJob` the pointer is valid.
        &unsafe { self.0 .0.as_ref() }.data
    }

    /// Lets the job wait for `fence` before it runs.
    pub fn add_dependency(&mut self, fence: ARef<Fence>) -> Result {
        let fence = ARef::into_raw(fence).as_ptr().cast();
        // SAFETY: The job is initialised and not armed; the C side takes the reference to the fence
        // over, also when it fails.
        to_result(unsafe { bindings::drm_sched_job_add_dependency(self.0.base(), fence) })
    }

    /// Lets the job wait for what others still do with the objects of `locked`, as far as it must
    /// before what is said there: for those who write an object that it reads, and for all who use
    /// one that it writes.
    #[cfg(CONFIG_RUST_DRM_EXEC)]
    pub fn add_implicit_dependencies<O>(&mut self, locked: &Locked<O>) -> Result
    where
        O: IntoGEMObject + AlwaysRefCounted,
    {
        locked.uses().iter().try_for_each(|Use { object, writes }| {
            // SAFETY: The job is initialised and not armed, and the object's reservation is locked.
            to_result(unsafe {
                bindings::drm_sched_job_add_implicit_dependencies(
                    self.0.base(),
                    object.as_raw(),
                    *writes,
                )
            })
        })
    }

    /// Queues the job. In [`Context::Caller`] it, or another one, is run before this returns, if
    /// that can be now.
    ///
    /// Before, `publish` gets its finished fence: that is signalled when the job has finished, with
    /// the error if it failed. `publish` is in the fence signalling path, as [`JobOps::run`] is,
    /// and must not push a job of the same entity.
    pub fn push(self, publish: impl FnOnce(&Fence)) {
        let job = ManuallyDrop::new(self.0);
        // SAFETY: `base` was initialised with an `entity`, to which the job holds a reference that
        // it gives up after it has run only.
        let entity = unsafe { &job.0.as_ref().entity }.clone();
        // The order of the fences' numbers is that of the queue. And until the job is queued,
        // arming another one could move the entity to another scheduler than the job's.
        let _order = entity.order.lock();
        let _signalling = Signalling::begin();

        // SAFETY: The job is initialised and not armed.
        unsafe { bindings::drm_sched_job_arm(job.base()) };
        // SAFETY: `s_fence` was allocated by drm_sched_job_init(), its `finished` was initialised
        // when the job was armed, and the job holds a reference to it.
        let finished = unsafe { &raw mut (*(*job.base()).s_fence).finished };
        // SAFETY: The fence is initialised, and its flags are only changed atomically.
        unsafe { bindings::set_bit(DONT_PIPELINE, &raw mut (*finished).flags) };
        // SAFETY: As above.
        publish(unsafe { Fence::from_raw(finished) });
        // SAFETY: The job is armed. From here it belongs to the scheduler, which frees it. The
        // schedulers stay as long as `entity`.
        unsafe { bindings::drm_sched_entity_push_job(job.base()) };
    }
}

#[macros::kunit_tests(rust_drm_sched)]
mod tests {
    use super::*;
    use crate::{
        dma_fence::{
            DriverFence,
            DriverFenceAlloc, //
        },
        faux,
        module::this_module,
        new_condvar,
        new_spinlock,
        sync::{
            CondVar,
            CondVarTimeoutResult,
            SpinLock, //
        },
        time::Jiffies,
        LocalModule, //
    };
    use core::slice;

    const OWNER: &ThisModule = this_module::<LocalModule>();

    /// An engine whose jobs end when the test says so.
    #[pin_data]
    struct Engine {
        #[pin]
        state: SpinLock<State>,
        #[pin]
        changed: CondVar,
    }

    #[derive(Default)]
    struct State {
        /// Jobs in the order in which they were started, `started` of them.
        order: [u32; 4],
        started: usize,
        dropped: usize,
        asked: usize,
        running: [Option<DriverFence>; 4],
    }

    impl Engine {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    state <- new_spinlock!(State::default()),
                    changed <- new_condvar!(),
                }),
                GFP_KERNEL,
            )
        }

        fn change(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.state.lock());
            self.changed.notify_all();
        }

        /// Waits until `condition` holds.
        fn until(&self, condition: impl Fn(&State) -> bool) -> Result {
            let mut left = patience();
            let mut state = self.state.lock();
            while !condition(&state) {
                match self.changed.wait_timeout(&mut state, left) {
                    CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                    _ => return Err(ETIME),
                }
            }
            Ok(())
        }

        /// Ends the job that was started as number `index`.
        fn end(&self, index: usize, result: Result) -> Result {
            let fence = self.state.lock().running[index].take().ok_or(ENOENT)?;
            fence.signal(result);
            Ok(())
        }
    }

    /// Far longer than anything here takes.
    fn patience() -> Jiffies {
        msecs_to_jiffies(10_000)
    }

    struct TestJob {
        engine: Arc<Engine>,
        name: u32,
        /// None for a job that can't be started.
        fence: Option<DriverFenceAlloc>,
        stop_on_timeout: bool,
    }

    impl TestJob {
        fn new(engine: &Arc<Engine>, name: u32) -> Result<Self> {
            Ok(Self {
                engine: engine.clone(),
                name,
                fence: Some(DriverFenceAlloc::new()?),
                stop_on_timeout: false,
            })
        }
    }

    impl JobOps for TestJob {
        fn run(&mut self, _core: u32) -> Result<ARef<Fence>> {
            let (fence, waitable) = self.fence.take().ok_or(EIO)?.start();
            self.engine.change(|state| {
                state.order[state.started] = self.name;
                state.running[state.started] = Some(fence);
                state.started += 1;
            });
            Ok(waitable)
        }

        fn timed_out(&self) {
            self.engine.change(|state| state.asked += 1);
            if self.stop_on_timeout {
                let _ = self.engine.end(0, Err(ETIMEDOUT));
            }
        }
    }

    impl Drop for TestJob {
        fn drop(&mut self) {
            self.engine.change(|state| state.dropped += 1);
        }
    }

    /// One engine and its scheduler, below a device.
    struct Bench {
        engine: Arc<Engine>,
        scheduler: Arc<Scheduler<TestJob>>,
        _device: faux::Registration,
    }

    impl Bench {
        fn new(timeout: Delta, context: Context) -> Result<Self> {
            Self::with_credits(1, timeout, context)
        }

        fn with_credits(credits: u32, timeout: Delta, context: Context) -> Result<Self> {
            let device = faux::Registration::new(c"drm-sched-test", None)?;
            Ok(Self {
                engine: Engine::new()?,
                scheduler: Scheduler::new(
                    device.as_ref().as_ref(),
                    c"drm-sched-test",
                    0,
                    credits,
                    timeout,
                    context,
                )?,
                _device: device,
            })
        }

        fn patient() -> Result<Self> {
            Self::new(Delta::from_millis(10_000), Context::Caller)
        }

        fn end(&self, index: usize, result: Result) -> Result {
            self.engine.end(index, result)?;
            self.scheduler.run_now();
            Ok(())
        }

        fn entity(&self, priority: Priority) -> Result<Entity<TestJob>> {
            Entity::new(priority, slice::from_ref(&self.scheduler), OWNER)
        }

        fn job(&self, entity: &Entity<TestJob>, name: u32) -> Result<Job<TestJob>> {
            Job::new(entity, 1, 0, TestJob::new(&self.engine, name)?)
        }
    }

    fn push(job: Job<TestJob>) -> Result<ARef<Fence>> {
        let mut finished = None;
        job.push(|fence| finished = Some(fence.into()));
        finished.ok_or(EINVAL)
    }

    #[test]
    fn a_job_ends_with_the_fence_of_its_engine() -> Result {
        let bench = Bench::patient()?;
        let entity = bench.entity(Priority::Normal)?;

        let finished = push(bench.job(&entity, 7)?)?;
        bench.engine.until(|state| state.started == 1)?;
        assert_eq!(finished.status(), None);

        bench.end(0, Ok(()))?;
        finished.wait_interruptible_timeout(patience())?;
        assert_eq!(finished.status(), Some(Ok(())));
        bench.engine.until(|state| state.dropped == 1)
    }

    #[test]
    fn a_job_that_waits_for_nothing_is_run_when_it_is_pushed() -> Result {
        let bench = Bench::patient()?;
        let entity = bench.entity(Priority::Normal)?;

        let finished = push(bench.job(&entity, 0)?)?;
        assert_eq!(bench.engine.state.lock().started, 1);
        bench.end(0, Ok(()))?;
        finished.wait_interruptible_timeout(patience())
    }

    #[test]
    fn jobs_run_at_once_as_far_as_there_are_credits() -> Result {
        let bench = Bench::with_credits(2, Delta::from_millis(10_000), Context::Caller)?;
        let entity = bench.entity(Priority::Normal)?;

        let first = push(bench.job(&entity, 0)?)?;
        let second = push(bench.job(&entity, 1)?)?;
        let third = push(bench.job(&entity, 2)?)?;
        let fourth = push(bench.job(&entity, 3)?)?;
        assert_eq!(bench.engine.state.lock().started, 2);

        // Both are told to have ended before anything else is run.
        bench.engine.end(0, Ok(()))?;
        bench.engine.end(1, Ok(()))?;
        assert_eq!(bench.engine.state.lock().started, 2);
        bench.scheduler.run_now();
        assert_eq!(bench.engine.state.lock().started, 4);
        assert_eq!(
            (first.status(), second.status()),
            (Some(Ok(())), Some(Ok(())))
        );

        bench.engine.end(2, Ok(()))?;
        bench.end(3, Ok(()))?;
        third.wait_interruptible_timeout(patience())?;
        fourth.wait_interruptible_timeout(patience())?;
        bench.engine.until(|state| state.dropped == 4)
    }

    #[test]
    fn a_job_waits_for_the_end_of_one_of_another_queue_whatever_the_credits() -> Result {
        let bench = Bench::with_credits(2, Delta::from_millis(10_000), Context::Caller)?;
        let (low, normal) = (
            bench.entity(Priority::Low)?,
            bench.entity(Priority::Normal)?,
        );

        let first = push(bench.job(&low, 0)?)?;
        let mut second = bench.job(&normal, 1)?;
        second.add_dependency(first)?;
        let second = push(second)?;
        let third = push(bench.job(&low, 2)?)?;
        bench
            .engine
            .until(|state| state.order[..state.started] == [0, 2])?;

        bench.end(0, Ok(()))?;
        bench
            .engine
            .until(|state| state.order[..state.started] == [0, 2, 1])?;
        bench.engine.end(1, Ok(()))?;
        bench.end(2, Ok(()))?;
        second.wait_interruptible_timeout(patience())?;
        third.wait_interruptible_timeout(patience())
    }

    #[test]
    fn workers_run_jobs_without_being_told_of_the_end_of_one() -> Result {
        let bench = Bench::new(Delta::from_millis(10_000), Context::Worker)?;
        let entity = bench.entity(Priority::Normal)?;

        let _first = push(bench.job(&entity, 0)?)?;
        let last = push(bench.job(&entity, 1)?)?;
        for index in 0..2 {
            bench.engine.until(|state| state.started == index + 1)?;
            bench.engine.end(index, Ok(()))?;
        }
        last.wait_interruptible_timeout(patience())?;
        bench.engine.until(|state| state.dropped == 2)
    }

    #[test]
    fn a_failure_on_the_engine_reaches_the_finished_fence() -> Result {
        let bench = Bench::patient()?;
        let entity = bench.entity(Priority::Normal)?;

        let finished = push(bench.job(&entity, 0)?)?;
        bench.engine.until(|state| state.started == 1)?;
        bench.end(0, Err(EFAULT))?;
        finished.wait_interruptible_timeout(patience())?;
        assert_eq!(finished.status(), Some(Err(EFAULT)));
        Ok(())
    }

    #[test]
    fn a_job_that_cannot_start_ends_with_the_reason() -> Result {
        let bench = Bench::patient()?;
        let entity = bench.entity(Priority::Normal)?;
        let mut job = TestJob::new(&bench.engine, 0)?;
        job.fence = None;

        let finished = push(Job::new(&entity, 1, 0, job)?)?;
        finished.wait_interruptible_timeout(patience())?;
        assert_eq!(finished.status(), Some(Err(EIO)));
        Ok(())
    }

    #[test]
    fn a_job_waits_for_its_dependencies() -> Result {
        let bench = Bench::patient()?;
        let waiting = bench.entity(Priority::High)?;
        let free = bench.entity(Priority::Low)?;
        let (gate, fence) = DriverFenceAlloc::new()?.start();

        let mut job = bench.job(&waiting, 1)?;
        job.add_dependency(fence)?;
        let last = push(job)?;
        let first = push(bench.job(&free, 2)?)?;
        bench.engine.until(|state| state.started == 1)?;
        assert_eq!(bench.engine.state.lock().order[0], 2);
        bench.end(0, Ok(()))?;
        first.wait_interruptible_timeout(patience())?;
        assert_eq!(bench.engine.state.lock().started, 1);

        // It waits for the end of the other, not for its success.
        gate.signal(Err(ECANCELED));
        bench.engine.until(|state| state.started == 2)?;
        bench.end(1, Ok(()))?;
        last.wait_interruptible_timeout(patience())?;
        assert_eq!(last.status(), Some(Ok(())));
        Ok(())
    }

    #[test]
    fn the_more_urgent_job_goes_first() -> Result {
        let bench = Bench::patient()?;
        let low = bench.entity(Priority::Low)?;
        let high = bench.entity(Priority::High)?;

        let _busy = push(bench.job(&low, 1)?)?;
        bench.engine.until(|state| state.started == 1)?;
        let _second = push(bench.job(&low, 2)?)?;
        let _third = push(bench.job(&high, 3)?)?;
        for index in 0..3 {
            bench.engine.until(|state| state.started == index + 1)?;
            bench.end(index, Ok(()))?;
        }
        assert_eq!(bench.engine.state.lock().order[..3], [1, 3, 2]);
        bench.engine.until(|state| state.dropped == 3)
    }

    #[test]
    fn a_job_that_is_not_pushed_is_taken_back() -> Result {
        let bench = Bench::patient()?;
        let entity = bench.entity(Priority::Normal)?;

        let mut job = bench.job(&entity, 0)?;
        job.add_dependency(DriverFenceAlloc::new()?.start().1)?;
        drop(job);
        let state = bench.engine.state.lock();
        assert_eq!((state.started, state.dropped), (0, 1));
        Ok(())
    }

    #[test]
    fn a_job_that_is_stopped_for_its_time_is_freed() -> Result {
        let bench = Bench::new(Delta::from_millis(20), Context::Caller)?;
        let entity = bench.entity(Priority::Normal)?;
        let mut job = TestJob::new(&bench.engine, 0)?;
        job.stop_on_timeout = true;

        let finished = push(Job::new(&entity, 1, 0, job)?)?;
        finished.wait_interruptible_timeout(patience())?;
        assert_eq!(finished.status(), Some(Err(ETIMEDOUT)));
        bench.engine.until(|state| state.dropped == 1)
    }

    #[test]
    fn a_job_that_is_not_stopped_for_its_time_is_asked_again() -> Result {
        let bench = Bench::new(Delta::from_millis(20), Context::Caller)?;
        let entity = bench.entity(Priority::Normal)?;

        let finished = push(bench.job(&entity, 0)?)?;
        bench.engine.until(|state| state.asked == 3)?;
        assert_eq!(finished.status(), None);
        bench.end(0, Ok(()))?;
        finished.wait_interruptible_timeout(patience())?;
        assert_eq!(finished.status(), Some(Ok(())));
        bench.engine.until(|state| state.dropped == 1)
    }

    #[test]
    fn jobs_outlive_the_handles_of_entity_and_scheduler() -> Result {
        let Bench {
            engine,
            scheduler,
            _device: device,
        } = Bench::new(Delta::from_millis(20), Context::Caller)?;
        let entity = Entity::new(Priority::Normal, slice::from_ref(&scheduler), OWNER)?;
        let running = push(Job::new(&entity, 1, 0, TestJob::new(&engine, 1)?)?)?;
        let queued = push(Job::new(&entity, 1, 0, TestJob::new(&engine, 2)?)?)?;
        drop((entity, scheduler, device));

        for index in 0..2 {
            engine.until(|state| state.started == index + 1)?;
            engine.end(index, Ok(()))?;
        }
        queued.wait_interruptible_timeout(patience())?;
        assert_eq!(running.status(), Some(Ok(())));
        engine.until(|state| state.dropped == 2)
    }

    #[test]
    fn what_could_never_run_is_refused() -> Result {
        let bench = Bench::patient()?;
        let entity = bench.entity(Priority::Normal)?;
        for credits in [0, 2] {
            let job = TestJob::new(&bench.engine, 0)?;
            assert_eq!(Job::new(&entity, credits, 0, job).err(), Some(EINVAL));
        }
        assert_eq!(
            Entity::<TestJob>::new(Priority::Normal, &[], OWNER).err(),
            Some(EINVAL)
        );

        let parent = bench._device.as_ref().as_ref();
        for (credits, timeout) in [(0, 1), (1, 0), (1, -1)] {
            let timeout = Delta::from_millis(timeout);
            let scheduler =
                Scheduler::<TestJob>::new(parent, c"idle", 0, credits, timeout, Context::Worker);
            assert_eq!(scheduler.err(), Some(EINVAL));
        }
        Ok(())
    }
}
