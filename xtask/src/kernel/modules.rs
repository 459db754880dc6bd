//! The modules of an image: a folder beside it, with a list in the order in which they can be loaded.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The list, in the folder.
const ORDER: &str = "order";

/// The folder of `image`. One from elsewhere may have none.
pub fn folder(image: &Path) -> PathBuf {
    image.with_file_name("modules")
}

/// Copies what was built in `objects` to the folder `to`.
pub fn store(objects: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    let built = fs::read_to_string(objects.join("modules.order")).context("listing modules")?;
    let mut order = String::new();
    for object in built.lines() {
        let module = objects.join(object).with_extension("ko");
        let name = module.file_name().context("a module has a name")?;
        fs::copy(&module, to.join(name))
            .with_context(|| format!("storing {}", module.display()))?;
        order += &format!("{}\n", name.display());
    }
    fs::write(to.join(ORDER), order).context("storing the order of the modules")
}

/// The modules in `folder`, each after those that it needs.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let order = folder.join(ORDER);
    let names =
        fs::read_to_string(&order).with_context(|| format!("reading {}", order.display()))?;
    Ok(names.lines().map(|name| folder.join(name)).collect())
}
