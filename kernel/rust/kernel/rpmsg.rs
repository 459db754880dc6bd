// SPDX-License-Identifier: GPL-2.0

//! Messages to and from remote processors.
//!
//! A driver is bound to channels by their name, and opens an [`Endpoint`] to send and receive.
//!
//! C header: [`include/linux/rpmsg.h`](srctree/include/linux/rpmsg.h)

use crate::{
    bindings,
    device,
    device_id::{
        RawDeviceId,
        RawDeviceIdIndex, //
    },
    devres,
    driver,
    error::{
        from_result,
        to_result, //
    },
    new_condvar,
    new_mutex,
    pm_runtime::Autosuspend,
    prelude::*,
    sync::{
        aref::AlwaysRefCounted,
        Arc,
        CondVar,
        Mutex, //
    },
    types::Opaque,
    ThisModule, //
};
use core::{
    marker::PhantomData,
    mem::offset_of,
    ptr::NonNull, //
};

/// An adapter for the registration of rpmsg drivers.
pub struct Adapter<T: Driver>(T);

// SAFETY:
// - `bindings::rpmsg_driver` is a C type declared as `repr(C)`.
// - `T::Data` is the type of the driver's device private data.
// - `struct rpmsg_driver` embeds a `struct device_driver`.
// - `DEVICE_DRIVER_OFFSET` is the correct byte offset to the embedded `struct device_driver`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::rpmsg_driver;
    type DriverData<'bound> = T::Data<'bound>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(Self::DriverType, drv);
}

// SAFETY: A call to `unregister` for a given instance of `DriverType` is guaranteed to be valid if
// a preceding call to `register` has been successful.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
    unsafe fn register(
        driver: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: It's safe to set the fields of `struct rpmsg_driver` on initialization.
        unsafe {
            (*driver.get()).drv.name = name.as_char_ptr();
            (*driver.get()).id_table = T::ID_TABLE.as_ptr();
            (*driver.get()).drv.pm = Autosuspend::operations(T::AUTOSUSPEND);
            (*driver.get()).probe = Some(Self::probe_callback);
            (*driver.get()).remove = Some(Self::remove_callback);
        }

        // SAFETY: `driver` is guaranteed to be a valid `DriverType`.
        to_result(unsafe { bindings::__register_rpmsg_driver(driver.get(), module.as_ptr()) })
    }

    unsafe fn unregister(driver: &Opaque<Self::DriverType>) {
        // SAFETY: `driver` is guaranteed to be a valid `DriverType`.
        unsafe { bindings::unregister_rpmsg_driver(driver.get()) }
    }
}

impl<T: Driver> Adapter<T> {
    extern "C" fn probe_callback(rpdev: *mut bindings::rpmsg_device) -> c_int {
        // SAFETY: The rpmsg bus only ever calls the probe callback with a valid pointer to a
        // `struct rpmsg_device`.
        //
        // INVARIANT: `rpdev` is valid for the duration of `probe_callback()`.
        let dev = unsafe { &*rpdev.cast::<Device<device::CoreInternal<'_>>>() };

        from_result(|| {
            dev.as_ref().set_drvdata(T::probe(dev))?;
            if let Some(autosuspend) = T::AUTOSUSPEND {
                // SAFETY: The driver has these operations, its data has been set, and
                // `remove_callback()` disables before it goes.
                unsafe { autosuspend.enable(dev.as_ref()) };
            }
            Ok(0)
        })
    }

    extern "C" fn remove_callback(rpdev: *mut bindings::rpmsg_device) {
        // SAFETY: The rpmsg bus only ever calls the remove callback with a valid pointer to a
        // `struct rpmsg_device`.
        //
        // INVARIANT: `rpdev` is valid for the duration of `remove_callback()`.
        let dev = unsafe { &*rpdev.cast::<Device<device::CoreInternal<'_>>>() };

        if let Some(autosuspend) = T::AUTOSUSPEND {
            // SAFETY: `probe_callback()` has enabled it.
            unsafe { autosuspend.disable(dev.as_ref()) };
        }

        // SAFETY: `remove_callback` is only ever called after a successful call to
        // `probe_callback`, hence it's guaranteed that `Device::set_drvdata()` has been called
        // and stored a `Pin<KBox<T::Data<'_>>>`.
        let data = unsafe { dev.as_ref().drvdata_borrow::<T::Data<'_>>() };

        T::unbind(dev, data);
    }
}

/// Declares a kernel module that exposes a single rpmsg driver.
///
/// # Examples
///
/// ```ignore
/// kernel::module_rpmsg_driver! {
///     type: MyDriver,
///     name: "Module name",
///     authors: ["Author name"],
///     description: "Description",
///     license: "GPL v2",
/// }
/// ```
#[macro_export]
macro_rules! module_rpmsg_driver {
    ($($f:tt)*) => {
        $crate::module_driver!(<T>, $crate::rpmsg::Adapter<T>, { $($f)* });
    };
}

/// The name of channels that a driver can be bound to.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct DeviceId(bindings::rpmsg_device_id);

impl DeviceId {
    const NAME_SIZE: usize = bindings::RPMSG_NAME_SIZE as usize;

    /// Creates an id from the name of a channel, which remote processors announce.
    #[inline(always)]
    pub const fn new(name: &'static CStr) -> Self {
        let name = name.to_bytes_with_nul();
        build_assert!(name.len() <= Self::NAME_SIZE, "name exceeds 31 bytes");
        let mut id: bindings::rpmsg_device_id = pin_init::zeroed();
        let mut i = 0;
        while i < name.len() {
            id.name[i] = name[i];
            i += 1;
        }

        Self(id)
    }
}

// SAFETY: `DeviceId` is a `#[repr(transparent)]` wrapper of `rpmsg_device_id` and does not add
// additional invariants, so it's safe to transmute to `RawType`.
unsafe impl RawDeviceId for DeviceId {
    type RawType = bindings::rpmsg_device_id;
}

// SAFETY: `DRIVER_DATA_OFFSET` is the offset to the `driver_data` field.
unsafe impl RawDeviceIdIndex for DeviceId {
    const DRIVER_DATA_OFFSET: usize = offset_of!(bindings::rpmsg_device_id, driver_data);
}

/// IdTable type for rpmsg drivers.
pub type IdTable = &'static dyn kernel::device_id::IdTable<DeviceId, ()>;

/// Create a rpmsg `IdTable` with its alias for modpost.
#[macro_export]
macro_rules! rpmsg_device_table {
    ($($tt:tt)*) => {
        $crate::module_device_table!("rpmsg", $crate::rpmsg::DeviceId, $($tt)*);
    };
}

/// The rpmsg driver trait.
///
/// # Examples
///
/// ```
/// use kernel::{device::Core, rpmsg};
///
/// struct MyDriver;
///
/// kernel::rpmsg_device_table!(
///     ID_TABLE,
///     (),
///     [(rpmsg::DeviceId::new(c"rpmsg-example"), ())]
/// );
///
/// impl rpmsg::Driver for MyDriver {
///     type Data<'bound> = Self;
///     const ID_TABLE: rpmsg::IdTable = &ID_TABLE;
///
///     fn probe<'bound>(
///         _channel: &'bound rpmsg::Device<Core<'_>>,
///     ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
///         Err(ENODEV)
///     }
/// }
/// ```
pub trait Driver: Sized + 'static {
    /// The type of the driver's bus device private data.
    type Data<'bound>: Send + 'bound;

    /// The names of the channels supported by the driver.
    const ID_TABLE: IdTable;

    /// Has its devices sleep when nobody uses them, if that is what they do.
    const AUTOSUSPEND: Option<&'static Autosuspend<Adapter<Self>>> = None;

    /// Rpmsg driver probe.
    ///
    /// Called when a remote processor has announced a channel of a matching name.
    fn probe<'bound>(
        channel: &'bound Device<device::Core<'_>>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound;

    /// Rpmsg driver unbind.
    ///
    /// Called when a channel is unbound from its driver, e.g. because the remote processor has
    /// crashed. Endpoints are closed after that and after the private data has been dropped.
    fn unbind<'bound>(channel: &'bound Device<device::Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        let _ = (channel, this);
    }
}

/// A channel to a remote processor.
///
/// # Invariants
///
/// A [`Device`] instance represents a valid `struct rpmsg_device` created by the C portion of the
/// kernel.
#[repr(transparent)]
pub struct Device<Ctx: device::DeviceContext = device::Normal>(
    Opaque<bindings::rpmsg_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Device<Ctx> {
    fn as_raw(&self) -> *mut bindings::rpmsg_device {
        self.0.get()
    }
}

// SAFETY: `rpmsg::Device` is a transparent wrapper of `struct rpmsg_device`.
// The offset is guaranteed to point to a valid device field inside `rpmsg::Device`.
unsafe impl<Ctx: device::DeviceContext> device::AsBusDevice<Ctx> for Device<Ctx> {
    const OFFSET: usize = offset_of!(bindings::rpmsg_device, dev);
}

// SAFETY: `Device` is a transparent wrapper of a type that doesn't depend on `Device`'s generic
// argument.
kernel::impl_device_context_deref!(unsafe { Device });
kernel::impl_device_context_into_aref!(Device);

// SAFETY: Instances of `Device` are always reference-counted.
unsafe impl AlwaysRefCounted for Device {
    fn inc_ref(&self) {
        // SAFETY: The existence of a shared reference guarantees that the refcount is non-zero.
        unsafe { bindings::get_device(self.as_ref().as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // CAST: `Self` is a transparent wrapper of `bindings::rpmsg_device`.
        let rpdev: *mut bindings::rpmsg_device = obj.cast().as_ptr();

        // SAFETY: By the type invariant of `Self`, `rpdev` is a pointer to a valid
        // `struct rpmsg_device`, and the safety requirements guarantee a non-zero refcount.
        unsafe { bindings::put_device(&raw mut (*rpdev).dev) }
    }
}

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Device<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: By the type invariant of `Self`, `self.as_raw()` is a pointer to a valid
        // `struct rpmsg_device`, hence `dev` points to a valid `struct device`.
        unsafe { device::Device::from_raw(&raw mut (*self.as_raw()).dev) }
    }
}

// SAFETY: A `Device` is always reference-counted and can be released from any thread.
unsafe impl Send for Device {}

// SAFETY: `Device` can be shared among threads because all methods of `Device`
// (i.e. `Device<Normal>) are thread safe.
unsafe impl Sync for Device {}

// SAFETY: Same as `Device<Normal>`: `Bound` is a zero-sized type-state marker that does not affect
// thread safety.
unsafe impl Sync for Device<device::Bound> {}

/// A message that has arrived.
///
/// Its bytes lie in memory that the remote processor can write to, so they can only be copied.
///
/// # Invariants
///
/// `data` points to `len` bytes that can be read for as long as `'a` lasts.
pub struct Message<'a> {
    data: *const u8,
    len: usize,
    source: u32,
    _buffer: PhantomData<&'a [u8]>,
}

impl Message<'_> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The remote processor's address that it was sent from.
    pub fn source(&self) -> u32 {
        self.source
    }

    /// Copies the message to the start of `buffer` and returns that part of it, or fails with
    /// [`EMSGSIZE`].
    pub fn copy_to<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let copy = buffer.get_mut(..self.len).ok_or(EMSGSIZE)?;
        // SAFETY: By the type invariant there are as many bytes to read, and `copy` is as long. A
        // remote processor that changes them meanwhile makes their values undefined, and no more.
        unsafe { core::ptr::copy_nonoverlapping(self.data, copy.as_mut_ptr(), self.len) };
        Ok(copy)
    }
}

/// Takes what arrives at an [`Endpoint`].
pub trait Receiver: Send + Sync + 'static {
    /// A message has arrived.
    ///
    /// Called in process context, for one message at a time. It must not close the endpoint.
    fn receive(&self, message: Message<'_>);
}

/// A local address that messages are sent from and arrive at.
///
/// It is closed when the channel is unbound from its driver: from then on sending fails with
/// [`ENODEV`] and nothing arrives, however long a reference to it is kept.
#[pin_data]
pub struct Endpoint<R: Receiver> {
    #[pin]
    state: Mutex<State<R>>,
    #[pin]
    idle: CondVar,
}

struct State<R> {
    /// None when it is closed.
    open: Option<Open<R>>,
    /// Calls that use the raw endpoint without holding the lock.
    senders: usize,
}

/// # Invariants
///
/// `raw` is an endpoint that this owns. Its `priv` is the address of what `receiver` refers to.
struct Open<R> {
    raw: NonNull<bindings::rpmsg_endpoint>,
    receiver: Arc<R>,
}

// SAFETY: The functions that take an endpoint may be called from any thread.
unsafe impl<R: Receiver> Send for Open<R> {}

// Nothing in it is pinned in place.
impl<R> Unpin for State<R> {}

impl<R: Receiver> Endpoint<R> {
    /// Opens an endpoint of `channel` with an address that the core chooses.
    pub fn open(channel: &Device<device::Bound>, receiver: Arc<R>) -> Result<Arc<Self>> {
        let endpoint = Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(State {
                    open: None,
                    senders: 0,
                }),
                idle <- new_condvar!(),
            }),
            GFP_KERNEL,
        )?;
        // Whatever happens below, what is open will be closed before the channel goes.
        devres::register(channel.as_ref(), Closer(endpoint.clone()), GFP_KERNEL)?;

        // SAFETY: By the type invariant of `Device` this is a valid `struct rpmsg_device`.
        let name = unsafe { (*channel.as_raw()).id.name };
        let info = bindings::rpmsg_channel_info {
            name,
            src: bindings::RPMSG_ADDR_ANY,
            dst: bindings::RPMSG_ADDR_ANY,
        };
        // SAFETY: The channel is bound, hence registered. `receiver` is kept until the endpoint has
        // been destroyed, and `callback` takes it for what it is.
        let raw = unsafe {
            bindings::rpmsg_create_ept(
                channel.as_raw(),
                Some(Self::callback),
                Arc::as_ptr(&receiver).cast_mut().cast(),
                info,
            )
        };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;

        // INVARIANT: `raw` is new, and has the address of `receiver`.
        endpoint.state.lock().open = Some(Open { raw, receiver });

        Ok(endpoint)
    }

    /// Sends a message to the other end of the channel. Sleeps while no buffer is free, for 15
    /// seconds at most.
    pub fn send(&self, message: &[u8]) -> Result {
        let length = c_int::try_from(message.len()).map_err(|_| EMSGSIZE)?;
        // SAFETY: `with_raw()` gives a valid endpoint, and `message` has `length` bytes.
        self.with_raw(|raw| unsafe { bindings::rpmsg_send(raw, message.as_ptr().cast(), length) })
    }

    /// Sends a message to the other end of the channel, or fails with [`ENOMEM`] when no buffer is
    /// free. It may sleep, but never for the remote processor.
    pub fn try_send(&self, message: &[u8]) -> Result {
        let length = c_int::try_from(message.len()).map_err(|_| EMSGSIZE)?;
        // SAFETY: `with_raw()` gives a valid endpoint, and `message` has `length` bytes.
        self.with_raw(|raw| unsafe {
            bindings::rpmsg_trysend(raw, message.as_ptr().cast(), length)
        })
    }

    /// Whether it can still be sent from.
    pub fn is_open(&self) -> bool {
        self.state.lock().open.is_some()
    }

    /// Closes the endpoint now: when this returns no message is being received or sent, and none
    /// will be.
    pub fn close(&self) {
        let mut state = self.state.lock();
        let Some(open) = state.open.take() else {
            return;
        };
        while state.senders > 0 {
            self.idle.wait(&mut state);
        }
        drop(state);

        // SAFETY: By the type invariant `raw` is ours. Nobody uses it any more: what could be found
        // was taken out of `state`, and who had found it before is gone. This waits for `callback`.
        unsafe { bindings::rpmsg_destroy_ept(open.raw.as_ptr()) };
        drop(open.receiver);
    }

    fn with_raw(&self, call: impl FnOnce(*mut bindings::rpmsg_endpoint) -> c_int) -> Result {
        let raw = {
            let mut state = self.state.lock();
            let raw = state.open.as_ref().ok_or(ENODEV)?.raw;
            state.senders += 1;
            raw
        };
        let result = to_result(call(raw.as_ptr()));
        let mut state = self.state.lock();
        state.senders -= 1;
        if state.senders == 0 {
            self.idle.notify_all();
        }
        result
    }

    extern "C" fn callback(
        _rpdev: *mut bindings::rpmsg_device,
        data: *mut c_void,
        len: c_int,
        receiver: *mut c_void,
        source: u32,
    ) -> c_int {
        // SAFETY: By the type invariant of `Open` this is the address of a receiver, which lives
        // until the endpoint has been destroyed, and that waits for this callback to return.
        let receiver = unsafe { &*receiver.cast::<R>() };
        // INVARIANT: The bus calls this with a buffer of `len` bytes, which it keeps until this
        // returns.
        let message = Message {
            data: data.cast(),
            len: usize::try_from(len).unwrap_or(0),
            source,
            _buffer: PhantomData,
        };
        receiver.receive(message);
        0
    }
}

/// Closes an endpoint when the channel is unbound.
struct Closer<R: Receiver>(Arc<Endpoint<R>>);

impl<R: Receiver> Drop for Closer<R> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[macros::kunit_tests(rust_rpmsg)]
mod tests {
    use super::*;

    fn message(data: &[u8]) -> Message<'_> {
        // INVARIANT: The bytes are borrowed for as long as the message lives.
        Message {
            data: data.as_ptr(),
            len: data.len(),
            source: 1024,
            _buffer: PhantomData,
        }
    }

    #[test]
    fn an_id_is_a_zero_padded_name() {
        let id = DeviceId::new(c"apu");
        assert_eq!(id.0.name[..4], *b"apu\0");
        assert!(id.0.name.iter().skip(3).all(|byte| *byte == 0));
    }

    #[test]
    fn a_message_is_copied_whole_or_not_at_all() -> Result {
        let mut buffer = [0xff; 4];
        assert_eq!(message(b"abc").copy_to(&mut buffer)?, b"abc");
        assert_eq!(buffer, *b"abc\xff");
        assert_eq!(message(b"abcde").copy_to(&mut buffer), Err(EMSGSIZE));
        assert_eq!(buffer, *b"abc\xff");
        assert!(message(b"").copy_to(&mut [])?.is_empty());
        Ok(())
    }
}
