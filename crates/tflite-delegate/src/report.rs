//! Errors on their way to the runtime.

use core::ffi::c_char;
use std::ffi::{CStr, CString};
use std::fmt::Write;

use crate::delegate::Error;
use crate::sys;

/// An error with all its sources in one line.
pub(crate) fn line(error: &Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string can't fail.
        let _ = write!(line, ": {error}");
        source = error.source();
    }
    line
}

/// Text for C, without the zeros that would end it early.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// Says on the runtime's own channel why a call fails; Python's exceptions get their text there.
///
/// # Safety
/// `context` is NULL or valid.
pub(crate) unsafe fn to_context(context: *mut sys::Context, error: &Error) {
    let text = c_text(&line(error));
    // SAFETY: by contract.
    let report = unsafe { context.as_ref() }.and_then(|context| context.report_error);
    match report {
        // SAFETY: the runtime's own function, with its context, a format and what that asks for.
        Some(report) => unsafe { report(context, c"%s".as_ptr(), text.as_ptr()) },
        None => eprintln!("{}", text.to_string_lossy()),
    }
}

/// Says why there is no delegate: to the loader if it listens, else to standard error.
///
/// # Safety
/// `report` may be called with a C string.
pub(crate) unsafe fn to_loader(
    report: Option<unsafe extern "C" fn(*const c_char)>,
    name: &CStr,
    error: &Error,
) {
    let text = c_text(&line(error));
    match report {
        // SAFETY: by contract.
        Some(report) => unsafe { report(text.as_ptr()) },
        None => eprintln!("{}: {}", name.to_string_lossy(), text.to_string_lossy()),
    }
}
