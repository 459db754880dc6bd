//! `bindings`: the device tree bindings of the overlay against the rules of device tree schemas.
//!
//! What the kernel's `dt_binding_check` does, for our files alone: the whole of it reads all bindings
//! that Linux has, which takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{kernel, setup, workspace};

/// Where bindings are in a tree.
const BINDINGS: &str = "Documentation/devicetree/bindings";

/// Checks every binding and its example.
pub fn main() -> Result<ExitCode> {
    let check = Check {
        python: setup::device_tree_schema()?,
        tree: kernel::source(None)?,
        dtc: kernel::image(&kernel::Choice::default())?.with_file_name("dtc"),
        scratch: TempDir::with_prefix("tinyapu-bindings-")?,
    };
    let bindings = files(&workspace::root().join("kernel").join(BINDINGS))?;
    ensure!(!bindings.is_empty(), "there are no bindings");
    check.all(&bindings)?;
    println!("test result: {} passed; 0 failed", bindings.len());
    Ok(ExitCode::SUCCESS)
}

/// The bindings below `folder`.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

struct Check {
    python: PathBuf,
    tree: PathBuf,
    dtc: PathBuf,
    scratch: TempDir,
}

impl Check {
    fn all(&self, bindings: &[PathBuf]) -> Result<()> {
        let known = self.tree.join(BINDINGS);
        let mut lint = self.tool("yamllint");
        lint.args(["-f", "parsable", "-c"])
            .arg(known.join(".yamllint"));
        silent(lint.args(bindings))?;
        silent(
            self.tool("dt-doc-validate")
                .arg("-u")
                .arg(&known)
                .args(bindings),
        )?;
        let schema = output(self.tool("dt-mk-schema").arg("-j").args(bindings))?;
        let all = self.scratch.path().join("schema.json");
        fs::write(&all, schema)?;
        bindings
            .iter()
            .try_for_each(|binding| self.example(binding, &all))
    }

    /// Compiles the example of a binding and checks it against `schema`.
    fn example(&self, binding: &Path, schema: &Path) -> Result<()> {
        let file = |kind| self.scratch.path().join("example").with_extension(kind);
        fs::write(
            file("dts"),
            output(self.tool("dt-extract-example").arg(binding))?,
        )?;
        let mut preprocess = Command::new("clang-19");
        preprocess.args([
            "-E",
            "-nostdinc",
            "-undef",
            "-x",
            "assembler-with-cpp",
            "-I",
        ]);
        preprocess
            .arg(self.tree.join("include"))
            .arg(file("dts"))
            .arg("-o")
            .arg(file("i"));
        silent(&mut preprocess)?;
        let mut compile = Command::new(&self.dtc);
        compile
            .args(["-I", "dts", "-O", "dtb", "-o"])
            .arg(file("dtb"));
        silent(compile.arg(file("i")))?;
        let mut validate = self.tool("dt-validate");
        silent(validate.arg("-s").arg(schema).arg(file("dtb")))
            .with_context(|| format!("the example of {}", binding.display()))
    }

    /// A program of the Python environment.
    fn tool(&self, name: &str) -> Command {
        Command::new(self.python.with_file_name(name))
    }
}

/// Runs what has nothing to say if all is well.
fn silent(command: &mut Command) -> Result<()> {
    let said = output(command)?;
    ensure!(
        said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said).trim_end()
    );
    Ok(())
}

/// What a command prints; it is an error if it says anything else or fails.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let done = command
        .output()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    ensure!(
        done.status.success() && done.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&done.stderr).trim_end()
    );
    Ok(done.stdout)
}
