//! The two functions that a loader looks for.

use core::ffi::{CStr, c_char};
use core::ptr;
use std::sync::Mutex;

use crate::delegate::{Delegate, Error};
use crate::entry::{Instance, apply};
use crate::panics::caught;
use crate::report;
use crate::sys;

/// Exports `tflite_plugin_create_delegate` and `tflite_plugin_destroy_delegate` for a
/// [`Delegate`].
#[macro_export]
macro_rules! export_delegate {
    ($delegate:ty) => {
        /// Makes a delegate; NULL when the options are wrong, with the reason through
        /// `report_error` if that isn't NULL, else on standard error.
        ///
        /// # Safety
        /// `keys` and `values` are `count` C strings each; `report_error` takes a C string.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn tflite_plugin_create_delegate(
            keys: *const *const ::core::ffi::c_char,
            values: *const *const ::core::ffi::c_char,
            count: usize,
            report_error: Option<unsafe extern "C" fn(*const ::core::ffi::c_char)>,
        ) -> *mut $crate::sys::Delegate {
            // SAFETY: the caller's contract.
            unsafe { $crate::create::<$delegate>(keys, values, count, report_error) }
        }

        /// Ends a delegate; NULL is none.
        ///
        /// # Safety
        /// `delegate` comes from `tflite_plugin_create_delegate` and isn't used any more.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn tflite_plugin_destroy_delegate(
            delegate: *mut $crate::sys::Delegate,
        ) {
            // SAFETY: the caller's contract.
            unsafe { $crate::destroy::<$delegate>(delegate) }
        }
    };
}

/// `tflite_plugin_create_delegate`.
///
/// # Safety
/// `keys` and `values` are `count` C strings each; `report` takes a C string.
pub unsafe fn create<D: Delegate>(
    keys: *const *const c_char,
    values: *const *const c_char,
    count: usize,
    report: Option<unsafe extern "C" fn(*const c_char)>,
) -> *mut sys::Delegate {
    // Python passes a C int here, so the upper half may be anything.
    let count = count & u32::MAX as usize;
    let made = caught(|| {
        // SAFETY: by contract.
        let (keys, values) = unsafe { (texts(keys, count)?, texts(values, count)?) };
        let options: Vec<_> = keys.into_iter().zip(values).collect();
        D::new(&options)
    });
    match made {
        Ok(delegate) => into_c(delegate),
        Err(error) => {
            // SAFETY: by contract.
            unsafe { report::to_loader(report, D::NAME, &error) };
            ptr::null_mut()
        }
    }
}

/// # Safety
/// `texts` is `count` C strings that live for `'a`.
unsafe fn texts<'a>(texts: *const *const c_char, count: usize) -> Result<Vec<&'a str>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if texts.is_null() {
        return Err(format!("{count} options, but NULL in place of their texts").into());
    }
    // SAFETY: by contract.
    let texts = unsafe { core::slice::from_raw_parts(texts, count) };
    texts
        .iter()
        .map(|&text| {
            if text.is_null() {
                return Err("NULL in place of an option".into());
            }
            // SAFETY: by contract.
            let text = unsafe { CStr::from_ptr(text) };
            text.to_str()
                .map_err(|_| format!("the option {text:?} is no UTF-8").into())
        })
        .collect()
}

fn into_c<D: Delegate>(delegate: D) -> *mut sys::Delegate {
    let instance = Box::new(Instance {
        base: sys::Delegate {
            data: ptr::null_mut(),
            prepare: Some(apply::<D>),
            copy_from_buffer_handle: None,
            copy_to_buffer_handle: None,
            free_buffer_handle: None,
            flags: sys::ALLOW_DYNAMIC_TENSORS | sys::REQUIRE_PROPAGATED_SHAPES,
            opaque_delegate_builder: ptr::null_mut(),
        },
        delegate,
        placed: Mutex::default(),
    });
    Box::into_raw(instance).cast()
}

/// `tflite_plugin_destroy_delegate`.
///
/// # Safety
/// `delegate` is NULL or comes from [`create`] of the same `D`, and isn't used any more.
pub unsafe fn destroy<D: Delegate>(delegate: *mut sys::Delegate) {
    if delegate.is_null() {
        return;
    }
    // SAFETY: `into_c` made it from such a box, and by contract this is its end.
    let instance = unsafe { Box::from_raw(delegate.cast::<Instance<D>>()) };
    // The loader has no ear for an error here, and the panic's hook has told of it.
    let _ = caught(|| {
        drop(instance);
        Ok(())
    });
}
