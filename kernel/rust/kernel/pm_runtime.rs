// SPDX-License-Identifier: GPL-2.0

//! Runtime power management: devices that nobody uses lose their power.
//!
//! [`Enabled`] is for drivers whose power domain does all the work. A driver that sends its devices
//! to sleep by itself tells how with [`Sleeper`], and its bus that it does so with [`Autosuspend`].
//! Whoever uses a device of that kind keeps it [`Awake`].
//!
//! C header: [`include/linux/pm_runtime.h`](srctree/include/linux/pm_runtime.h)

use crate::{
    bindings,
    device::{
        Bound,
        BoundInternal,
        CoreInternal,
        Device, //
    },
    driver::DriverLayout,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::aref::ARef, //
};
use core::{
    marker::PhantomData,
    ptr::null, //
};

/// Runtime power management of a device is enabled until this is dropped.
pub struct Enabled<'a>(&'a Device<Bound>);

impl<'a> Enabled<'a> {
    /// Enables it. A device that nobody keeps awake may lose its power from now on.
    pub fn new(dev: &'a Device<Bound>) -> Self {
        // SAFETY: The device is valid; enables and disables are counted.
        unsafe { bindings::pm_runtime_enable(dev.as_raw()) };
        Self(dev)
    }

    /// Powers the device and keeps it so until [`put`](Self::put).
    pub fn get(&self) -> Result {
        // SAFETY: The device is valid, and this isn't atomic context.
        to_result(unsafe { bindings::pm_runtime_resume_and_get(self.0.as_raw()) })
    }

    /// Undoes one successful [`get`](Self::get).
    pub fn put(&self) {
        // SAFETY: The device is valid. A counter that nobody has raised is only warned of.
        unsafe { bindings::pm_runtime_put_sync(self.0.as_raw()) };
    }
}

impl Drop for Enabled<'_> {
    fn drop(&mut self) {
        // SAFETY: `new()` has enabled it.
        unsafe { bindings::pm_runtime_disable(self.0.as_raw()) };
    }
}

/// How a device goes to sleep and wakes up: what a driver keeps of each of its devices.
pub trait Sleeper: Sync {
    /// Nobody has used the device for a while. It stays awake if this fails; with [`EBUSY`] or
    /// [`EAGAIN`] it is asked again later. May sleep, boundedly: who is about to use the device
    /// waits.
    fn suspend(&self) -> Result;

    /// Somebody is about to use the device. May sleep, boundedly.
    fn resume(&self) -> Result;
}

/// Has the devices of a driver sleep when nobody has kept them [`Awake`] for a while. `A` is the
/// adapter of the driver to its bus, to which this is given.
pub struct Autosuspend<A> {
    operations: bindings::dev_pm_ops,
    delay_ms: c_int,
    _adapter: PhantomData<fn(A)>,
}

impl<A: DriverLayout> Autosuspend<A>
where
    for<'bound> A::DriverData<'bound>: Sleeper,
{
    /// They sleep after so many milliseconds. Administrators may change that of each device.
    pub const fn after_ms(delay: u16) -> Self {
        let mut operations: bindings::dev_pm_ops = pin_init::zeroed();
        operations.runtime_suspend = Some(Self::suspend_callback);
        operations.runtime_resume = Some(Self::resume_callback);
        Self {
            operations,
            // CAST: Every `u16` is a `c_int`.
            delay_ms: delay as c_int,
            _adapter: PhantomData,
        }
    }

    /// # Safety
    ///
    /// For the operations only.
    unsafe extern "C" fn suspend_callback(dev: *mut bindings::device) -> c_int {
        // SAFETY: The core calls this with a valid device of the driver, between `enable()` and
        // `disable()`. By their requirements it has the driver's data meanwhile.
        let data =
            unsafe { Device::<BoundInternal>::from_raw(dev).drvdata_borrow::<A::DriverData<'_>>() };
        from_result(|| data.suspend().map(|()| 0))
    }

    /// # Safety
    ///
    /// For the operations only.
    unsafe extern "C" fn resume_callback(dev: *mut bindings::device) -> c_int {
        // SAFETY: As above.
        let data =
            unsafe { Device::<BoundInternal>::from_raw(dev).drvdata_borrow::<A::DriverData<'_>>() };
        from_result(|| data.resume().map(|()| 0))
    }
}

impl<A> Autosuspend<A> {
    /// What belongs into the `struct device_driver`.
    pub(crate) fn operations(this: Option<&'static Self>) -> *const bindings::dev_pm_ops {
        this.map_or(null(), |this| &raw const this.operations)
    }

    /// Begins with a device that is awake.
    ///
    /// # Safety
    ///
    /// The device must be bound to a driver with these [`operations`](Self::operations), whose data
    /// has been set as those of `A`. [`disable`](Self::disable) must be called before the data go.
    pub(crate) unsafe fn enable(&self, dev: &Device<CoreInternal<'_>>) {
        let dev = dev.as_raw();
        // SAFETY: The device is valid. If it can't be said to be awake, its first user wakes it.
        unsafe {
            bindings::pm_runtime_set_active(dev);
            bindings::pm_runtime_set_autosuspend_delay(dev, self.delay_ms);
            bindings::pm_runtime_use_autosuspend(dev);
            bindings::pm_runtime_get_noresume(dev);
            bindings::pm_runtime_enable(dev);
            bindings::pm_runtime_put_autosuspend(dev);
        }
    }

    /// Ends it, with a device that is awake, since from now on nobody wakes it up: when this
    /// returns, no callback is running and none is called.
    ///
    /// # Safety
    ///
    /// [`enable`](Self::enable) must have been called for this device.
    pub(crate) unsafe fn disable(&self, dev: &Device<CoreInternal<'_>>) {
        // If it can't be woken up, it must do without.
        let _awake = Awake::new(dev);
        // SAFETY: The device is valid, and by the requirement there is something to undo.
        unsafe {
            bindings::pm_runtime_dont_use_autosuspend(dev.as_raw());
            bindings::pm_runtime_disable(dev.as_raw());
        }
    }
}

/// Keeps a device awake until this is dropped.
pub struct Awake(Option<ARef<Device>>);

impl Awake {
    /// Wakes the device up, if it sleeps. One without runtime power management is always awake. May
    /// sleep.
    pub fn new(dev: &Device) -> Result<Self> {
        // SAFETY: The device is valid, and this isn't atomic context.
        match to_result(unsafe { bindings::pm_runtime_resume_and_get(dev.as_raw()) }) {
            // It is disabled.
            Err(EACCES) => Ok(Self(None)),
            woken => woken.map(|()| Self(Some(dev.into()))),
        }
    }
}

impl Drop for Awake {
    /// May be called in atomic context.
    fn drop(&mut self) {
        if let Some(dev) = &self.0 {
            // SAFETY: The device is valid, and `new()` has raised the counter.
            unsafe { bindings::pm_runtime_put_autosuspend(dev.as_raw()) };
        }
    }
}

#[cfg(CONFIG_AUXILIARY_BUS)]
#[macros::kunit_tests(rust_pm_runtime)]
mod tests {
    use super::*;
    use crate::{
        auxiliary,
        device::Core,
        device_id::IdArray,
        driver,
        faux,
        module::this_module,
        new_condvar,
        new_mutex,
        sync::{
            Arc,
            CondVar,
            CondVarTimeoutResult,
            Mutex, //
        },
        time::msecs_to_jiffies,
        types::CovariantForLt,
        LocalModule,
        ModuleMetadata, //
    };

    const NAME: &CStr = c"pm-runtime-test";

    /// What has happened to a device.
    #[pin_data]
    struct Counts {
        #[pin]
        state: Mutex<State>,
        #[pin]
        changed: CondVar,
    }

    #[derive(Default)]
    struct State {
        /// The device, once it has been bound.
        dev: Option<ARef<Device>>,
        suspended: usize,
        resumed: usize,
        /// How often it is still too busy to sleep.
        busy: usize,
    }

    impl Counts {
        fn new(busy: usize) -> Result<Arc<Self>> {
            let state = State {
                busy,
                ..State::default()
            };
            Arc::pin_init(
                pin_init!(Self {
                    state <- new_mutex!(state),
                    changed <- new_condvar!(),
                }),
                GFP_KERNEL,
            )
        }

        /// Keeps the device awake.
        fn awake(&self) -> Result<Awake> {
            let dev = self.state.lock().dev.clone();
            Awake::new(&*dev.ok_or(ENODEV)?)
        }

        fn until(&self, condition: impl Fn(&State) -> bool) -> Result {
            let mut left = msecs_to_jiffies(10_000);
            let mut state = self.state.lock();
            while !condition(&state) {
                match self.changed.wait_timeout(&mut state, left) {
                    CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                    _ => return Err(ETIME),
                }
            }
            Ok(())
        }
    }

    /// What the driver keeps of a device.
    struct Counter(Arc<Counts>);

    impl Sleeper for Counter {
        fn suspend(&self) -> Result {
            let mut state = self.0.state.lock();
            self.0.changed.notify_all();
            if state.busy > 0 {
                state.busy -= 1;
                return Err(EBUSY);
            }
            state.suspended += 1;
            Ok(())
        }

        fn resume(&self) -> Result {
            self.0.state.lock().resumed += 1;
            self.0.changed.notify_all();
            Ok(())
        }
    }

    static ID_TABLE: IdArray<auxiliary::DeviceId, (), 1> =
        IdArray::new([(auxiliary::DeviceId::new(LocalModule::NAME, NAME), &())]);

    struct TestDriver;

    impl auxiliary::Driver for TestDriver {
        type IdInfo = ();
        type Data<'bound> = Counter;

        const ID_TABLE: auxiliary::IdTable<()> = &ID_TABLE;
        const AUTOSUSPEND: Option<&'static Autosuspend<auxiliary::Adapter<Self>>> =
            Some(&Autosuspend::after_ms(1));

        fn probe<'bound>(
            dev: &'bound auxiliary::Device<Core<'_>>,
            _info: &'bound (),
        ) -> impl PinInit<Counter, Error> + 'bound {
            let counts = dev.registration_data::<CovariantForLt!(Arc<Counts>)>()?;
            let counts = counts.get_ref().clone();
            counts.state.lock().dev = Some(dev.as_ref().into());
            Ok(Counter(counts))
        }
    }

    type TestRegistration = driver::Registration<auxiliary::Adapter<TestDriver>>;

    /// Runs `test` on a device that has a driver.
    fn with_device(busy: usize, test: impl FnOnce(&Counts) -> Result) -> Result<Arc<Counts>> {
        let module = this_module::<LocalModule>();
        let _driver = KBox::pin_init(TestRegistration::new(NAME, module), GFP_KERNEL)?;
        let parent = faux::Registration::new(NAME, None)?;
        let counts = Counts::new(busy)?;
        let _device = auxiliary::Registration::<CovariantForLt!(Arc<Counts>)>::new(
            parent.as_ref().as_ref(),
            NAME,
            0,
            LocalModule::NAME,
            Ok::<_, Error>(counts.clone()),
        )?;
        test(&counts)?;
        Ok(counts)
    }

    #[test]
    fn a_device_sleeps_when_nobody_keeps_it_awake() -> Result {
        with_device(0, |counts| {
            // It is awake at first.
            counts.until(|state| state.suspended == 1)?;
            assert_eq!(counts.state.lock().resumed, 0);

            let (one, other) = (counts.awake()?, counts.awake()?);
            assert_eq!(counts.state.lock().resumed, 1);
            drop(one);
            assert_eq!(counts.state.lock().suspended, 1);
            drop(other);
            counts.until(|state| state.suspended == 2)?;

            let _awake = counts.awake()?;
            assert_eq!(counts.state.lock().resumed, 2);
            Ok(())
        })?;
        Ok(())
    }

    #[test]
    fn a_device_that_is_busy_is_asked_again() -> Result {
        with_device(1, |counts| {
            counts.until(|state| state.busy == 0)?;
            drop(counts.awake()?);
            counts.until(|state| state.suspended == 1)
        })?;
        Ok(())
    }

    #[test]
    fn a_device_without_a_driver_is_left_alone() -> Result {
        let mut awake = None;
        let counts = with_device(0, |counts| {
            awake = Some(counts.awake()?);
            Ok(())
        })?;
        let resumed = counts.state.lock().resumed;
        drop(awake);
        drop(counts.awake()?);
        assert_eq!(counts.state.lock().resumed, resumed);
        Ok(())
    }
}
