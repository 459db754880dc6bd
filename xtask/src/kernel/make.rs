//! Runs the kernel's make and explains its failures.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write, pipe};
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use crate::progress::Progress;
use crate::setup::KernelTools;

/// What every make gets.
pub const FLAGS: [&str; 4] = [
    "ARCH=um",
    "LLVM=-19",
    "KBUILD_BUILD_USER=tinyapu",
    "KBUILD_BUILD_HOST=tinyapu",
];
/// All of a kernel.
pub const TARGETS: [&str; 2] = ["linux", "modules"];
/// What make says is kept in the object folder.
const LOG: &str = "make.log";
/// Lines shown after each compiler error, for its source excerpt.
const EXCERPT: usize = 12;
/// Lines shown of a failure.
const SHOWN: usize = 80;

/// A source tree, the folder its objects go to, and the tools.
pub struct Make<'a> {
    /// Source tree.
    pub tree: &'a Path,
    /// Object folder.
    pub objects: &'a Path,
    /// Compilers.
    pub tools: &'a KernelTools,
}

impl Make<'_> {
    /// Makes `targets`.
    pub fn run(&self, targets: &[&str], progress: Option<&Progress>) -> Result<()> {
        self.run_logged(self.command(targets), targets, progress)
    }

    /// Makes `targets` with clippy in place of the compiler, and returns what it warns of. Linux itself
    /// makes the linker and the C compiler warn.
    pub fn run_clippy(&self, targets: &[&str], progress: &Progress) -> Result<Vec<String>> {
        let mut make = self.command(targets);
        make.arg("CLIPPY=1");
        self.run_logged(make, targets, Some(progress))?;
        let log = fs::read(self.objects.join(LOG))?;
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let warnings = lines.windows(2).filter_map(|pair| match pair {
            [what, at] if what.starts_with("warning") && at.contains("-->") => {
                Some(format!("{what}{at}"))
            }
            _ => None,
        });
        Ok(warnings.collect())
    }

    fn run_logged(
        &self,
        mut make: Command,
        targets: &[&str],
        progress: Option<&Progress>,
    ) -> Result<()> {
        let log = self.objects.join(LOG);
        let mut file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let (output, input) = pipe()?;
        make.stdout(input.try_clone()?).stderr(input);
        let mut child = make.spawn().context("running make")?;
        drop(make);
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            file.write_all(&line)?;
            file.write_all(b"\n")?;
            progress.inspect(|progress| progress.detail(String::from_utf8_lossy(&line).trim()));
        }
        if !child.wait()?.success() {
            let text = fs::read(&log)?;
            bail!(
                "make {} failed; all of it is in {}\n{}",
                targets.join(" "),
                log.display(),
                errors(&String::from_utf8_lossy(&text))
            );
        }
        Ok(())
    }

    /// Makes `target` with more variables, which takes no time worth showing.
    pub fn run_with(&self, target: &str, env: &[(&str, &OsStr)]) -> Result<()> {
        command::run(self.command(&[target]).envs(env.iter().copied()))
    }

    /// Makes `target` with more variables, one thing at a time, and returns what there is to say of it.
    pub fn said(&self, target: &str, env: &[(&str, &OsStr)]) -> Result<String> {
        fs::create_dir_all(self.objects)?;
        let mut make = self.command(&[target]);
        make.args(["--silent", "-j1"]).envs(env.iter().copied());
        let output = make.output().context("running make")?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim_end().to_owned();
        ensure!(output.status.success(), "make {target} failed\n{said}");
        Ok(said)
    }

    fn command(&self, targets: &[&str]) -> Command {
        let mut make = command::bound_to_us(OsStr::new("make"), "TERM");
        command::without_cargo_variables(&mut make);
        make.args(FLAGS)
            .arg("-C")
            .arg(self.tree)
            .arg(named("O", self.objects))
            .arg(named("BINDGEN", &self.tools.bindgen));
        make.env("RUST_LIB_SRC", &self.tools.rust_lib_src)
            .env_remove("MAKEFLAGS")
            .env_remove("RUSTFLAGS");
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        make.arg(format!("-j{jobs}")).args(targets);
        make
    }
}

fn named(name: &str, path: &Path) -> std::ffi::OsString {
    let mut variable = std::ffi::OsString::from(name);
    variable.push("=");
    variable.push(path);
    variable
}

/// The lines of a make log that tell what is wrong.
fn errors(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let is_error =
        |line: &str| line.starts_with("error") || line.contains(" error: ") || line.contains("***");
    let heads = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| is_error(line))
        .map(|(at, _)| at);
    let mut shown: Vec<usize> = heads
        .flat_map(|at| at..(at + EXCERPT).min(lines.len()))
        .collect();
    shown.dedup();
    shown.sort_unstable();
    shown.dedup();
    let shown = shown.into_iter().filter_map(|at| lines.get(at).copied());
    shown.take(SHOWN).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::errors;

    #[test]
    fn errors_come_with_what_follows_them() {
        let log = "  RUSTC L rust/kernel.o\nerror[E0425]: cannot find value `x`\n  --> a.rs:1:1\nmake: *** [Makefile:1] Error 2";
        assert_eq!(errors(log), log.split_once('\n').unwrap().1);
        assert_eq!(errors("  CC a.o\n"), "");
    }
}
