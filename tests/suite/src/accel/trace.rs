//! What the kernel's tracepoints tell, if it has any.

use std::fs;
use std::path::{Path, PathBuf};

use crate::skip::Skip;

const FOLDER: &str = "/sys/kernel/tracing";

/// The events of one system, which are told of as long as this lives.
pub struct Trace {
    system: &'static str,
    enable: PathBuf,
}

impl Trace {
    /// From now on.
    ///
    /// # Errors
    /// This kernel traces nothing.
    pub fn of(system: &'static str) -> Result<Self, Skip> {
        let enable = Path::new(FOLDER).join("events").join(system).join("enable");
        let lacking = |error| Skip(format!("no tracepoints in {FOLDER}: {error}"));
        fs::write(&enable, "1").map_err(lacking)?;
        fs::write(text(), "").map_err(lacking)?;
        Ok(Self { system, enable })
    }

    /// What was told so far, as `event: key=value key=value`.
    pub fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(text()).unwrap_or_default();
        let event = format!(": {}_", self.system);
        let events = text.lines().filter_map(|line| line.split_once(&event));
        events.map(|(_, told)| told.to_owned()).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // What stays enabled disturbs nobody.
        let _ = fs::write(&self.enable, "0");
    }
}

fn text() -> PathBuf {
    Path::new(FOLDER).join("trace")
}
