//! `lines`: how long each part of the kernel code is.
//!
//! All lines count, also comments, empty ones and unit tests: that is what a reviewer reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::{kernel, workspace};

/// Most lines of what it takes to support one more piece of hardware.
const BACK_END_MAX: usize = 1000;
/// Most lines of the one to start from.
const TEMPLATE_MAX: usize = 300;

/// A part of the kernel code.
struct Part {
    name: &'static str,
    kind: Kind,
    /// Files and folders below `kernel/`.
    paths: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Kind {
    Framework,
    Abstraction,
    /// What all back ends of one driver have in common.
    Driver,
    BackEnd,
    /// The back end to start from.
    Template,
    /// Hardware in software.
    Emulation,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Framework => "framework",
            Self::Abstraction => "abstraction",
            Self::Driver => "driver",
            Self::BackEnd | Self::Template => "back end",
            Self::Emulation => "emulation",
        }
    }

    /// What a part must stay below.
    fn limit(self) -> Option<usize> {
        match self {
            Self::BackEnd => Some(BACK_END_MAX),
            Self::Template => Some(TEMPLATE_MAX),
            _ => None,
        }
    }
}

const fn part(kind: Kind, name: &'static str, paths: &'static [&'static str]) -> Part {
    Part { name, kind, paths }
}

#[rustfmt::skip]
const PARTS: &[Part] = &[
    part(Kind::Framework, "tiny", &["rust/kernel/drm/accel", "drivers/accel/tiny_trace.c", "include/trace"]),
    part(Kind::Abstraction, "DMA fences", &["rust/kernel/dma_fence.rs", "rust/helpers/dma_fence.c"]),
    part(Kind::Abstraction, "DRM scheduler", &["rust/kernel/drm/sched.rs", "rust/kernel/drm/sched"]),
    part(Kind::Abstraction, "locking reservations", &["rust/kernel/drm/exec.rs"]),
    part(Kind::Abstraction, "import of foreign buffers", &["rust/kernel/drm/gem", "rust/helpers/dma_buf.c"]),
    part(Kind::Abstraction, "syncobjs", &["rust/kernel/drm/syncobj.rs", "rust/helpers/drm_syncobj.c"]),
    part(Kind::Abstraction, "DRM printers", &["rust/kernel/drm/print.rs"]),
    part(Kind::Abstraction, "wedged devices", &["rust/kernel/drm/wedge.rs"]),
    part(Kind::Abstraction, "core dumps", &["rust/kernel/devcoredump.rs", "rust/helpers/devcoredump.c"]),
    part(Kind::Abstraction, "rpmsg", &["rust/kernel/rpmsg.rs"]),
    part(Kind::Abstraction, "remoteproc", &["rust/kernel/remoteproc.rs", "rust/kernel/remoteproc", "rust/helpers/remoteproc.c"]),
    part(Kind::Abstraction, "IOMMU domains", &["rust/kernel/iommu"]),
    part(Kind::Abstraction, "clocks in bulk", &["rust/kernel/clk"]),
    part(Kind::Abstraction, "runtime PM", &["rust/kernel/pm_runtime.rs", "rust/helpers/pm_runtime.c"]),
    part(Kind::Abstraction, "physical addresses", &["rust/kernel/mm/phys.rs", "rust/helpers/mm_phys.c"]),
    part(Kind::Abstraction, "reserved memory", &["rust/kernel/of_reserved_mem.rs"]),
    part(Kind::Driver, "apu", &["drivers/accel/apu"]),
    part(Kind::BackEnd, "apu on the simulated device", &["drivers/accel/apu/sim.rs", "drivers/accel/apu/tokens.rs"]),
    part(Kind::BackEnd, "apu over rpmsg", &["drivers/accel/apu/rpmsg.rs", "drivers/accel/apu/page_table.rs", "drivers/accel/apu/quarantine.rs", "drivers/accel/apu/watchdog.rs"]),
    part(Kind::BackEnd, "MediaTek MT8183 and MT8365", &["drivers/remoteproc", "drivers/accel/apu/iommu.rs"]),
    part(Kind::Template, "template", &["drivers/accel/template"]),
    part(Kind::Emulation, "MediaTek's chip", &["drivers/remoteproc/mtk_apu_emulator"]),
    part(Kind::Emulation, "the template's device", &["drivers/accel/template/emulation.c"]),
];

/// Prints the table.
pub fn main() -> Result<ExitCode> {
    print!("{}", table()?);
    Ok(ExitCode::SUCCESS)
}

/// The table, in Markdown.
pub fn table() -> Result<String> {
    let uncounted = uncounted()?;
    ensure!(uncounted.is_empty(), "no part has {}", uncounted.join(", "));
    let mut table = "| what | kind | lines |\n|---|---|---:|\n".to_owned();
    for part in PARTS {
        let lines = part.lines()?;
        if let Some(limit) = part.kind.limit() {
            let name = part.name;
            ensure!(lines < limit, "{name} has {lines} lines, not below {limit}");
        }
        table += &format!("| {} | {} | {lines} |\n", part.name, part.kind.name());
    }
    Ok(table)
}

/// Sources of the overlay that no part has.
fn uncounted() -> Result<Vec<String>> {
    let counted = |path: &PathBuf| {
        let mut paths = PARTS.iter().flat_map(|part| part.paths);
        paths.any(|part| path.starts_with(part))
    };
    let files = kernel::overlay_files()?.into_iter();
    let files = files.filter(|path| is_source(path) && !counted(path));
    Ok(files.map(|path| path.display().to_string()).collect())
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
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(if is_source(path) {
        text.lines().count()
    } else {
        0
    })
}

fn is_source(path: &Path) -> bool {
    path.extension()
        .is_some_and(|kind| kind == "rs" || kind == "c")
}
