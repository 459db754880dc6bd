//! `bindings`: the device tree bindings of the overlay, by the kernel's own `dt_binding_check`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::cache::{self, Lock};
use crate::kernel::make::Make;
use crate::kernel::overlay::Overlay;
use crate::kernel::tree::Tree;
use crate::progress::Progress;
use crate::setup;

/// Where bindings are in a tree.
const BINDINGS: &str = "Documentation/devicetree/bindings";

/// Checks every binding and its example.
pub fn main() -> Result<ExitCode> {
    let schema = setup::device_tree_schema()?;
    let tools = setup::kernel_tools()?;
    let tree = Tree::find(None)?;
    let overlay = Overlay::read()?;
    let bindings = bindings(&overlay);
    ensure!(!bindings.is_empty(), "there are no bindings");

    let _lock = Lock::take("kernel")?;
    tree.prepare(&overlay)?;
    let _progress = Progress::start("checking the device tree bindings");
    let objects = cache::dir()?
        .join("objects")
        .join(format!("{}-bindings", tree.name()));
    let make = Make {
        tree: tree.dir(),
        objects: &objects,
        tools: &tools,
    };
    let said = make.said(
        "dt_binding_check",
        &[
            ("PATH", &path_with(&schema)?),
            ("DT_SCHEMA_FILES", &join(&bindings)),
        ],
    )?;
    ensure!(said.is_empty(), "{said}");
    println!("test result: {} passed; 0 failed", bindings.len());
    Ok(ExitCode::SUCCESS)
}

/// The bindings that the overlay adds, by their path in the tree.
fn bindings(overlay: &Overlay) -> Vec<&Path> {
    let files = overlay.files.keys().map(PathBuf::as_path);
    files.filter(|path| path.starts_with(BINDINGS)).collect()
}

/// Names as `DT_SCHEMA_FILES` has them.
fn join(bindings: &[&Path]) -> OsString {
    let names: Vec<_> = bindings.iter().map(|path| path.as_os_str()).collect();
    names.join(":".as_ref())
}

/// Where programs are found, those beside `python` first.
fn path_with(python: &Path) -> Result<OsString> {
    let programs = python.parent().context("python is in a folder")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("PATH")
}
