//! Panics end here: C can't unwind.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::delegate::Error;

/// Runs `body`; a panic becomes an error. What the panic left half done is in one kernel or one
/// graph, which the runtime drops or prepares afresh after an error.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        Err(format!("the delegate has a bug, it panicked: {text}").into())
    })
}
