//! The drivers as modules, which a test unloads and loads again.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::io::{Errno, Result};
use rustix::system::{delete_module, finit_module};

use crate::skip::Skip;

/// Names the folder with the modules of the kernel that runs.
pub const VARIABLE: &str = "APU_TEST_MODULES";
/// How long what a client left behind may keep a module.
const PATIENCE: Duration = Duration::from_secs(10);
/// Fails instead of waiting for the module's users.
const NONBLOCK: i32 = 0o4000;

/// A driver.
pub struct Module {
    name: CString,
    file: PathBuf,
}

impl Module {
    /// The module of that name.
    ///
    /// # Errors
    /// [`Skip`] where drivers aren't modules.
    pub fn find(name: &str) -> std::result::Result<Self, Skip> {
        let folder = std::env::var_os(VARIABLE)
            .ok_or_else(|| Skip(format!("{VARIABLE} names no modules")))?;
        Ok(Self {
            name: CString::new(name).expect("a name of a module"),
            file: PathBuf::from(folder).join(name).with_extension("ko"),
        })
    }

    /// Loads it.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn load(&self, parameters: &CStr) -> Result<()> {
        let file = File::open(&self.file).unwrap_or_else(|error| {
            panic!("cannot open {}: {error}", self.file.display());
        });
        finit_module(file, parameters, 0)
    }

    /// Unloads it.
    ///
    /// # Errors
    /// [`Errno::WOULDBLOCK`] as long as somebody uses it.
    pub fn unload(&self) -> Result<()> {
        delete_module(&self.name, NONBLOCK)
    }

    /// Unloads it as soon as nobody uses it any more.
    ///
    /// # Errors
    /// [`Errno::WOULDBLOCK`] if it stays in use for seconds.
    pub fn unload_when_free(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            match self.unload() {
                Err(Errno::WOULDBLOCK) if begin.elapsed() < PATIENCE => std::thread::yield_now(),
                done => return done,
            }
        }
    }
}
