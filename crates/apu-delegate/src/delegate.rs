//! The delegate: options in, placement and kernels out.

use std::ffi::CStr;

use apu::Device;
use tflite_delegate::{Delegate, Error, Graph, Placed};

use crate::kernel::ApuKernel;
use crate::placement;
use crate::report::Reporter;
use crate::settings::Settings;

/// An APU for one or more interpreters.
pub(crate) struct Apu {
    settings: Settings,
    device: Device,
    reporter: Reporter,
}

impl Delegate for Apu {
    const NAME: &CStr = c"APU";
    type Kernel = ApuKernel;

    fn new(options: &[(&str, &str)]) -> Result<Self, Error> {
        let settings = Settings::new(options, |name| std::env::var(name).ok())?;
        let device = Device::open(&settings.device)?;
        let reporter = Reporter::new(&settings)?;
        Ok(Self {
            settings,
            device,
            reporter,
        })
    }

    fn place(&self, graph: &Graph) -> Result<Vec<Placed<ApuKernel>>, Error> {
        let (parts, report) = placement::place(graph, &self.settings)?;
        self.reporter.tell(&report);
        if self.settings.require_full && !report.unplaced.is_empty() {
            let report = report.to_string();
            return Err(crate::error::Error::NotFull { report }.into());
        }
        parts
            .into_iter()
            .map(|placed| {
                let kernel = ApuKernel::new(
                    &self.device,
                    &self.settings,
                    placed.part,
                    placed.program,
                    graph.tensors(),
                )?;
                Ok((placed.partition, kernel))
            })
            .collect()
    }
}
