//! `tidy`: checks what the prose promises.

mod kernel_style;
mod sources;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::progress::Progress;
use crate::{bare, docs, series, workspace};

/// Something that holds for the whole checkout.
struct Check {
    promise: &'static str,
    /// Returns what breaks the promise.
    broken: fn() -> Result<Vec<String>>,
}

const CHECKS: [Check; 11] = [
    Check {
        promise: "formatted by rustfmt",
        broken: fmt,
    },
    Check {
        promise: "clippy has nothing to say",
        broken: clippy,
    },
    Check {
        promise: "every file begins by saying what it is",
        broken: sources::without_header,
    },
    Check {
        promise: "every crate is in ARCHITECTURE.md",
        broken: sources::unmapped_crates,
    },
    Check {
        promise: "no path or host of somebody's machine",
        broken: sources::places,
    },
    Check {
        promise: "README's commands exist",
        broken: sources::unknown_commands,
    },
    Check {
        promise: "the firmware's crates have no std",
        broken: std_dependencies,
    },
    Check {
        promise: "every kernel file is in one patch of the series",
        broken: series::broken,
    },
    Check {
        promise: "the book shows the code that is built",
        broken: docs::stale,
    },
    Check {
        promise: "kernel drivers have no bindings, and accel drivers no unsafe code",
        broken: sources::unsafe_drivers,
    },
    Check {
        promise: "kernel files have the kernel's style",
        broken: kernel_style::broken,
    },
];

/// Makes every check and says which promises are broken, and by what.
pub fn main() -> Result<ExitCode> {
    let mut failed = 0;
    for check in CHECKS {
        let progress = Progress::start(check.promise);
        let broken = (check.broken)().with_context(|| format!("checking: {}", check.promise))?;
        drop(progress);
        println!(
            "{} {}",
            if broken.is_empty() {
                "ok    "
            } else {
                "FAILED"
            },
            check.promise
        );
        broken
            .iter()
            .for_each(|line| println!("         {}", line.replace('\n', "\n         ")));
        failed += usize::from(!broken.is_empty());
    }
    println!(
        "test result: {} passed; {failed} failed",
        CHECKS.len() - failed
    );
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn fmt() -> Result<Vec<String>> {
    said_on_failure(workspace::cargo().args(["fmt", "--all", "--", "--check", "-l"]))
}

fn clippy() -> Result<Vec<String>> {
    said_on_failure(workspace::cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn std_dependencies() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for name in bare::CRATES {
        let mut tree = workspace::cargo();
        tree.args([
            "tree",
            "--package",
            name,
            "--edges=normal,features",
            "--prefix=none",
        ]);
        let tree = crate::command::output(&mut tree)?;
        let with_std = tree.lines().filter(|line| line.contains("feature \"std\""));
        broken.extend(with_std.map(|line| format!("{name} depends on {line}")));
    }
    Ok(broken)
}

/// What a command says, if it fails.
fn said_on_failure(command: &mut Command) -> Result<Vec<String>> {
    let output = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    let said = [output.stdout, output.stderr].concat();
    Ok(vec![String::from_utf8_lossy(&said).trim_end().to_owned()])
}
