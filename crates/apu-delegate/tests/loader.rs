//! The rules of the C++ tools' loader: it opens the shared object, never gives a `report_error`,
//! and copies `flags`.
#![allow(missing_docs, clippy::unwrap_used)]

mod library;

use std::ffi::{CString, c_char};
use std::ptr;

use libloading::{Library, Symbol};
use tflite_delegate::sys;

type ReportError = Option<unsafe extern "C" fn(*const c_char)>;
type Create = unsafe extern "C" fn(
    *const *const c_char,
    *const *const c_char,
    usize,
    ReportError,
) -> *mut sys::Delegate;
type Destroy = unsafe extern "C" fn(*mut sys::Delegate);

struct Plugin(Library);

impl Plugin {
    fn open() -> Self {
        // SAFETY: our own library, whose loading runs no code of ours.
        Self(unsafe { Library::new(library::path()) }.unwrap())
    }

    fn create(&self, options: &[(&str, &str)], count: usize) -> *mut sys::Delegate {
        // SAFETY: the function has this type.
        let create: Symbol<Create> =
            unsafe { self.0.get(b"tflite_plugin_create_delegate\0") }.unwrap();
        let (keys, values): (Vec<&str>, Vec<&str>) = options.iter().copied().unzip();
        let c = |texts: Vec<&str>| -> Vec<CString> {
            texts
                .into_iter()
                .map(|t| CString::new(t).unwrap())
                .collect()
        };
        let (keys, values) = (c(keys), c(values));
        let pointers = |texts: &[CString]| texts.iter().map(|t| t.as_ptr()).collect::<Vec<_>>();
        let (keys, values) = (pointers(&keys), pointers(&values));
        // SAFETY: arrays of as many C strings as the low half of `count` says.
        unsafe { create(keys.as_ptr(), values.as_ptr(), count, None) }
    }

    fn destroy(&self, delegate: *mut sys::Delegate) {
        // SAFETY: the function has this type.
        let destroy: Symbol<Destroy> =
            unsafe { self.0.get(b"tflite_plugin_destroy_delegate\0") }.unwrap();
        // SAFETY: made by `create`, or NULL, and not used after.
        unsafe { destroy(delegate) }
    }
}

#[test]
fn a_delegate_is_made_without_report_error() {
    let plugin = Plugin::open();
    let delegate = plugin.create(&[("device", "in-process"), ("report", "none")], 2);
    // SAFETY: what the plugin made is NULL or a delegate.
    let made = unsafe { delegate.as_ref() }.unwrap();
    assert!(made.prepare.is_some());
    assert!(made.opaque_delegate_builder.is_null());
    assert_eq!(
        made.flags,
        sys::ALLOW_DYNAMIC_TENSORS | sys::REQUIRE_PROPAGATED_SHAPES
    );
    plugin.destroy(delegate);
}

#[test]
fn wrong_options_give_null_and_no_crash() {
    let plugin = Plugin::open();
    assert!(plugin.create(&[("devise", "in-process")], 1).is_null());
    assert!(plugin.create(&[("require_full", "maybe")], 1).is_null());
    assert!(plugin.create(&[("device", "/dev/accel/none")], 1).is_null());
}

#[test]
fn null_is_no_delegate_and_may_be_destroyed() {
    Plugin::open().destroy(ptr::null_mut());
}

#[test]
fn the_upper_half_of_a_c_int_says_nothing() {
    let plugin = Plugin::open();
    let delegate = plugin.create(&[("report", "none")], 0xdead_beef_0000_0001);
    assert!(!delegate.is_null());
    plugin.destroy(delegate);
}
