//! Device trees of a guest: sources of the checkout, compiled when it boots, with the firmware that
//! they name.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{command, firmware, workspace};

/// Where those of the checkout are.
const FOLDER: &str = "kernel/configs/device-trees";

/// What a kernel `image` is to be told to find the hardware of `source` and firmware for it.
pub fn arguments(source: &Path, image: &Path) -> Result<Vec<String>> {
    let blob = compile(source, image)?;
    let images = workspace::target()?.join("uml/firmware");
    firmware::write_all(&images)?;
    Ok(vec![
        format!("dtb={}", blob.display()),
        format!("firmware_class.path={}", images.display()),
    ])
}

/// Compiles `source` with the compiler that came out of the build of the kernel `image`, and returns
/// the blob's path.
fn compile(source: &Path, image: &Path) -> Result<PathBuf> {
    let compiler = image.with_file_name("dtc");
    ensure!(
        compiler.exists(),
        "there is no device tree compiler beside {}",
        image.display()
    );
    let name = source.file_stem().context("a device tree has a name")?;
    let blobs = workspace::target()?.join("uml");
    std::fs::create_dir_all(&blobs)?;
    let mut blob = blobs.join(name);
    blob.set_extension(format!("{}.dtb", std::process::id()));
    let mut dtc = Command::new(compiler);
    dtc.args(["-q", "-I", "dts", "-O", "dtb", "-i"])
        .arg(workspace::root().join(FOLDER))
        .arg("-o")
        .arg(&blob)
        .arg(source);
    command::run(&mut dtc).with_context(|| format!("compiling {}", source.display()))?;
    Ok(blob)
}
