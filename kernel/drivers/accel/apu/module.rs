// SPDX-License-Identifier: GPL-2.0

//! What the module registers.

use crate::sim::Simulator;
#[cfg(CONFIG_RPMSG = "y")]
use kernel::{
    driver,
    rpmsg, //
};
use kernel::{
    prelude::*,
    ModuleMetadata, //
};

/// All that lives as long as the module.
pub(crate) struct Module {
    #[cfg(CONFIG_RPMSG = "y")]
    _rpmsg: Pin<KBox<driver::Registration<rpmsg::Adapter<crate::rpmsg::Channel>>>>,
    _sim: Option<Pin<KBox<Simulator>>>,
}

impl kernel::Module for Module {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let simulated = crate::module_parameters::sim.value();
        Ok(Self {
            #[cfg(CONFIG_RPMSG = "y")]
            _rpmsg: KBox::pin_init(driver::Registration::new(Self::NAME, module), GFP_KERNEL)?,
            _sim: if simulated {
                Some(KBox::pin_init(
                    Simulator::new(Self::NAME, module),
                    GFP_KERNEL,
                )?)
            } else {
                None
            },
        })
    }
}
