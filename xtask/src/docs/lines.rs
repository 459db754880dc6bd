//! `lines`: how long each part of the kernel code is.
//!
//! All lines count, also comments, empty ones and unit tests: that is what a reviewer reads.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Most lines of what it takes to support one more piece of hardware.
const BACK_END_MAX: usize = 1000;

/// A part of the kernel code.
struct Part {
    name: &'static str,
    kind: Kind,
    /// Files and folders below `kernel/`.
    paths: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Framework,
    Abstraction,
    /// What all back ends of one driver have in common.
    Driver,
    BackEnd,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Framework => "framework",
            Self::Abstraction => "abstraction",
            Self::Driver => "driver",
            Self::BackEnd => "back end",
        }
    }
}

const fn part(kind: Kind, name: &'static str, paths: &'static [&'static str]) -> Part {
    Part { name, kind, paths }
}

const PARTS: &[Part] = &[
    part(Kind::Framework, "tiny", &["rust/kernel/drm/accel"]),
    part(
        Kind::Abstraction,
        "DMA fences",
        &["rust/kernel/dma_fence.rs", "rust/helpers/dma_fence.c"],
    ),
    part(
        Kind::Abstraction,
        "scheduler",
        &["rust/kernel/drm/sched.rs"],
    ),
    part(
        Kind::Abstraction,
        "syncobjs",
        &["rust/kernel/drm/syncobj.rs", "rust/helpers/drm_syncobj.c"],
    ),
    part(Kind::Abstraction, "rpmsg", &["rust/kernel/rpmsg.rs"]),
    part(Kind::Driver, "apu", &["drivers/accel/apu"]),
    part(
        Kind::BackEnd,
        "apu: simulated device",
        &["drivers/accel/apu/sim.rs"],
    ),
    part(
        Kind::BackEnd,
        "template",
        &["drivers/accel/template/template.rs"],
    ),
];

/// Prints the table.
pub fn main() -> Result<ExitCode> {
    print!("{}", table()?);
    Ok(ExitCode::SUCCESS)
}

/// The table, in Markdown.
pub fn table() -> Result<String> {
    let mut table = "| what | kind | lines |\n|---|---|---:|\n".to_owned();
    for part in PARTS {
        let lines = part.lines()?;
        ensure!(
            part.kind != Kind::BackEnd || lines < BACK_END_MAX,
            "the back end {} has {lines} lines, not below {BACK_END_MAX}",
            part.name
        );
        table += &format!("| {} | {} | {lines} |\n", part.name, part.kind.name());
    }
    Ok(table)
}

impl Part {
    /// Lines of this part without those of other parts that lie within.
    fn lines(&self) -> Result<usize> {
        let others = PARTS.iter().filter(|other| !std::ptr::eq(*other, self));
        let others: Vec<&str> = others.flat_map(|other| other.paths).copied().collect();
        let kernel = workspace::root().join("kernel");
        let counts = self.paths.iter().map(|path| {
            let inner = others
                .iter()
                .filter(|other| Path::new(other).starts_with(path));
            let inner = inner.map(|other| lines_in(&kernel.join(other)));
            Ok(lines_in(&kernel.join(path))? - inner.sum::<Result<usize>>()?)
        });
        counts.sum()
    }
}

/// Lines of the sources in a file or folder.
fn lines_in(path: &Path) -> Result<usize> {
    if path.is_dir() {
        let entries = fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
        return entries.map(|entry| lines_in(&entry?.path())).sum();
    }
    let is_source = path
        .extension()
        .is_some_and(|kind| kind == "rs" || kind == "c");
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(if is_source { text.lines().count() } else { 0 })
}
