//! Why a check proved nothing: the rule is broken, or there is nothing to see it on.

use std::fmt::Debug;

use nix::errno::Errno;

/// What a check returns.
pub type Kept<T = ()> = Result<T, Unproven>;

/// A rule that wasn't seen to be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The device did something else.
    #[error("{seen}")]
    Broken {
        /// What was seen, and what had to be.
        seen: String,
    },
    /// The device or the machine lacks what the check needs.
    #[error("{what}")]
    Lacking {
        /// What that is.
        what: String,
    },
}

impl Unproven {
    /// The device did something else.
    pub fn broken(seen: impl Into<String>) -> Self {
        Self::Broken { seen: seen.into() }
    }

    /// The device or the machine lacks what the check needs.
    pub fn lacking(what: impl Into<String>) -> Self {
        Self::Lacking { what: what.into() }
    }
}

/// A value that had to be another.
///
/// # Errors
/// [`Unproven::Broken`] with both values.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, seen: T, wanted: T) -> Kept {
    holds(seen == wanted, || {
        format!("{what}: {seen:?}, wanted {wanted:?}")
    })
}

/// A condition that had to hold.
///
/// # Errors
/// [`Unproven::Broken`] with what was seen instead.
pub(crate) fn holds(condition: bool, seen: impl FnOnce() -> String) -> Kept {
    if condition {
        Ok(())
    } else {
        Err(Unproven::broken(seen()))
    }
}

/// A call that had to succeed.
pub(crate) trait Succeeds<T> {
    /// # Errors
    /// [`Unproven::Broken`] with the name of the call and its errno.
    fn succeeds(self, call: &str) -> Kept<T>;
}

impl<T> Succeeds<T> for Result<T, Errno> {
    fn succeeds(self, call: &str) -> Kept<T> {
        self.map_err(|errno| {
            Unproven::broken(format!("{call} fails with {errno:?}, wanted success"))
        })
    }
}
