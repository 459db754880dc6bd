//! Loads the drivers that are modules, as a machine does when it boots.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::system::finit_module;

use crate::kernel::modules;

/// Loads all modules in `folder`, each with the parameters that the kernel's command line has for it.
pub fn load_all(folder: &Path) -> Result<()> {
    let line = fs::read_to_string("/proc/cmdline").context("reading the command line")?;
    for module in modules::list(folder)? {
        let name = module.file_stem().context("a module has a name")?;
        let parameters = CString::new(parameters(&line, &name.to_string_lossy()))?;
        let file = File::open(&module).with_context(|| format!("opening {}", module.display()))?;
        finit_module(file, &parameters, 0)
            .with_context(|| format!("loading {}", module.display()))?;
    }
    Ok(())
}

/// What `line` says of `module`: "apu.sim=0" is "sim=0" for apu.
fn parameters(line: &str, module: &str) -> String {
    let own = |word: &str| Some(word.strip_prefix(module)?.strip_prefix('.')?.to_owned());
    let own: Vec<String> = line.split_whitespace().filter_map(own).collect();
    own.join(" ")
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn a_module_gets_its_own_parameters() {
        let line = "ro apu.sim=0 apus.sim=1 kunit.autorun=0 apu.more=a,b";
        assert_eq!(parameters(line, "apu"), "sim=0 more=a,b");
        assert_eq!(parameters(line, "template"), "");
    }
}
