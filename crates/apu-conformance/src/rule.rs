//! One rule: what it says, where it is written, and how to see whether it is kept.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use nix::errno::Errno;

use crate::unproven::{Kept, Unproven};
use crate::{Bench, Node};

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// What the device says of itself.
    Query,
    /// Buffer objects and their mappings into processes.
    Bo,
    /// Address spaces.
    Vm,
    /// What is bound in them.
    Bind,
    /// Queues and their states.
    Queue,
    /// Jobs that are right, and those that the kernel refuses.
    Submit,
    /// What jobs wait for and signal.
    Sync,
    /// Which job is next.
    Priority,
    /// Several clients.
    Isolation,
    /// Jobs that go wrong in the device.
    Fault,
    /// What is possible after that.
    Recovery,
    /// How much one client gets.
    Limits,
    /// What is accounted to whom.
    Fdinfo,
    /// Buffers that are shared.
    Prime,
    /// Sleep.
    Power,
}

impl Area {
    /// As in the names of rules.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Bo => "bo",
            Self::Vm => "vm",
            Self::Bind => "bind",
            Self::Queue => "queue",
            Self::Submit => "submit",
            Self::Sync => "sync",
            Self::Priority => "priority",
            Self::Isolation => "isolation",
            Self::Fault => "fault",
            Self::Recovery => "recovery",
            Self::Limits => "limits",
            Self::Fdinfo => "fdinfo",
            Self::Prime => "prime",
            Self::Power => "power",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule of the interface.
#[derive(Clone, Copy)]
pub struct Rule {
    /// What it is about.
    pub area: Area,
    /// Its name within the area, unique there.
    pub name: &'static str,
    /// Where it is written: a structure or a field of `include/uapi/drm/apu_accel.h`, or a document of
    /// the kernel.
    pub written: &'static str,
    check: Check,
}

#[derive(Clone, Copy)]
enum Check {
    Refused(fn(&Bench) -> Result<(), Errno>, Errno),
    Kept(&'static str, fn(&Bench) -> Kept),
}

impl Rule {
    /// A call that is refused with `errno`. The name, read aloud, is what is wrong with it.
    pub(crate) const fn refused(
        area: Area,
        name: &'static str,
        written: &'static str,
        errno: Errno,
        call: fn(&Bench) -> Result<(), Errno>,
    ) -> Self {
        Self {
            area,
            name,
            written,
            check: Check::Refused(call, errno),
        }
    }

    /// Anything else, in a sentence.
    pub(crate) const fn kept(
        area: Area,
        name: &'static str,
        written: &'static str,
        sentence: &'static str,
        check: fn(&Bench) -> Kept,
    ) -> Self {
        Self {
            area,
            name,
            written,
            check: Check::Kept(sentence, check),
        }
    }

    /// `area::name`, unique.
    pub fn id(&self) -> String {
        format!("{}::{}", self.area, self.name)
    }

    /// The rule in one sentence.
    pub fn sentence(&self) -> Cow<'static, str> {
        match self.check {
            Check::Kept(sentence, _) => sentence.into(),
            Check::Refused(_, errno) => {
                let wrong = self.name.replace('_', " ");
                format!("{}: {wrong} is refused with {errno:?}", self.call()).into()
            }
        }
    }

    /// The call in whose structure the rule is written.
    fn call(&self) -> String {
        let structure = self.written.split('.').next().unwrap_or_default();
        structure.trim_start_matches("drm_apu_").to_uppercase()
    }

    /// Sees whether the device behind the node at `path` keeps the rule.
    ///
    /// # Errors
    /// Why it wasn't seen to.
    pub fn check(&self, path: &Path) -> Kept {
        let bench = Bench::new(Node::open(path)?)?;
        match self.check {
            Check::Kept(_, check) => check(&bench),
            Check::Refused(call, errno) => match call(&bench) {
                Err(seen) if seen == errno => Ok(()),
                seen => Err(Unproven::broken(format!(
                    "{}, wanted {errno:?}",
                    seen.map_or_else(|errno| format!("{errno:?}"), |()| "success".into())
                ))),
            },
        }
    }
}
