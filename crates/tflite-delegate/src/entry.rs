//! The functions that the runtime calls. Each catches panics, and reports what went wrong.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use std::sync::{Mutex, PoisonError};

use crate::delegate::{Delegate, Error, Kernel, Placed};
use crate::graph::{Graph, Partition};
use crate::panics::caught;
use crate::report;
use crate::sys;
use crate::tensor::Tensors;

/// A delegate as the runtime holds it. What C sees comes first.
#[repr(C)]
pub(crate) struct Instance<D: Delegate> {
    pub base: sys::Delegate,
    pub delegate: D,
    /// Kernels that the runtime is about to fetch, by their partition.
    pub placed: Mutex<Vec<Placed<D::Kernel>>>,
}

/// `TfLiteDelegate::Prepare`.
///
/// # Safety
/// `context` is valid for the call; `delegate` is the `base` of a living [`Instance`] of `D`.
pub(crate) unsafe extern "C" fn apply<D: Delegate>(
    context: *mut sys::Context,
    delegate: *mut sys::Delegate,
) -> sys::Status {
    let applied = caught(|| {
        // SAFETY: by contract; an instance is only ever shared.
        let instance = unsafe { &*delegate.cast::<Instance<D>>() };
        // SAFETY: by contract, and nothing else here touches the context until `replace` is done.
        let graph = unsafe { Graph::new(context) }?;
        let placed = instance.delegate.place(&graph)?;
        if placed.is_empty() {
            return Ok(());
        }
        let nodes: Vec<i32> = placed.iter().flat_map(|(p, _)| p.nodes.clone()).collect();
        let pending = || {
            instance
                .placed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        *pending() = placed;
        // SAFETY: the delegate that this call is for, and its kernels.
        let replaced = unsafe { graph.replace(&nodes, registration::<D>(), delegate) };
        pending().clear();
        replaced
    });
    // SAFETY: by contract.
    unsafe { status(context, applied) }
}

/// What stands for a partition in the runtime's graph.
fn registration<D: Delegate>() -> sys::Registration {
    sys::Registration {
        init: Some(init::<D>),
        free: Some(free::<D>),
        prepare: Some(prepare::<D>),
        invoke: Some(invoke::<D>),
        profiling_string: None,
        builtin_code: sys::BUILTIN_DELEGATE,
        custom_name: D::NAME.as_ptr(),
        version: 1,
        registration_external: ptr::null_mut(),
        async_kernel: ptr::null_mut(),
        inplace_operator: 0,
        room: [0; 16],
    }
}

/// `TfLiteRegistration::init`: hands over the kernel that was built for the partition.
///
/// # Safety
/// `params` is the runtime's `TfLiteDelegateParams`, whose delegate is the `base` of a living
/// [`Instance`] of `D`.
unsafe extern "C" fn init<D: Delegate>(
    context: *mut sys::Context,
    params: *const c_char,
    _: usize,
) -> *mut c_void {
    let kernel = caught(|| {
        // SAFETY: by contract.
        let params = unsafe { &*params.cast::<sys::DelegateParams>() };
        // SAFETY: by contract.
        let instance = unsafe { &*params.delegate.cast::<Instance<D>>() };
        // SAFETY: the runtime's, for the time of this call.
        let partition = unsafe { Partition::from_params(params) };
        let mut placed = instance
            .placed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let at = placed.iter().position(|(p, _)| p.nodes == partition.nodes);
        let at = at.ok_or("the runtime groups nodes otherwise than it said it would")?;
        Ok(Box::new(placed.swap_remove(at).1))
    });
    match kernel {
        Ok(kernel) => Box::into_raw(kernel).cast(),
        Err(error) => {
            // SAFETY: the runtime's context, valid for the call.
            unsafe { report::to_context(context, &error) };
            ptr::null_mut()
        }
    }
}

/// `TfLiteRegistration::free`.
///
/// # Safety
/// `kernel` is what [`init`] returned, and isn't used any more.
unsafe extern "C" fn free<D: Delegate>(_: *mut sys::Context, kernel: *mut c_void) {
    if kernel.is_null() {
        return;
    }
    // SAFETY: a box of `init`, and by contract this is its end.
    let kernel = unsafe { Box::from_raw(kernel.cast::<D::Kernel>()) };
    // The runtime has no ear for an error here, and the panic's hook has told of it.
    let _ = caught(|| {
        drop(kernel);
        Ok(())
    });
}

/// `TfLiteRegistration::prepare`.
///
/// # Safety
/// `context` is valid for the call; `node` is one that [`init`] made a kernel for.
unsafe extern "C" fn prepare<D: Delegate>(
    context: *mut sys::Context,
    node: *mut sys::Node,
) -> c_int {
    // SAFETY: by contract.
    unsafe { with_kernel::<D>(context, node, |kernel, tensors| kernel.prepare(tensors)) }
}

/// `TfLiteRegistration::invoke`.
///
/// # Safety
/// As [`prepare`].
unsafe extern "C" fn invoke<D: Delegate>(
    context: *mut sys::Context,
    node: *mut sys::Node,
) -> c_int {
    // SAFETY: by contract.
    unsafe { with_kernel::<D>(context, node, |kernel, tensors| kernel.invoke(tensors)) }
}

/// # Safety
/// As [`prepare`].
unsafe fn with_kernel<D: Delegate>(
    context: *mut sys::Context,
    node: *mut sys::Node,
    call: impl FnOnce(&mut D::Kernel, &mut Tensors) -> Result<(), Error>,
) -> sys::Status {
    let done = caught(|| {
        // SAFETY: `user_data` is what `init` returned, and the runtime makes one call at a time.
        let kernel = unsafe { (*node).user_data.cast::<D::Kernel>().as_mut() };
        let kernel = kernel.ok_or("this part of the graph has no kernel")?;
        // SAFETY: by contract; the runtime leaves the tensors alone during the call.
        call(kernel, &mut unsafe { Tensors::new(context) })
    });
    // SAFETY: by contract.
    unsafe { status(context, done) }
}

/// # Safety
/// `context` is NULL or valid.
unsafe fn status(context: *mut sys::Context, done: Result<(), Error>) -> sys::Status {
    match done {
        Ok(()) => sys::OK,
        Err(error) => {
            // SAFETY: by contract.
            unsafe { report::to_context(context, &error) };
            sys::ERROR
        }
    }
}
