//! Promises that reading the tracked files keeps.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Parser;

use crate::{Cli, command, readme, workspace};

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] = ["/root/", "/home/", "/work/", "/tmp/"];
/// Hosts that a package manager is to know, not this repository.
const HOSTS: [&str; 6] = [
    "deb.debian.org",
    "snapshot.debian.org",
    "index.crates.io",
    "static.crates.io",
    "pypi.org",
    "files.pythonhosted.org",
];
/// Names the two lists above.
const THIS_FILE: &str = "xtask/src/tidy/sources.rs";

const SPDX: &str = "// SPDX-License-Identifier: ";

/// Rust files that don't say what they are. Kernel files name their licence first.
pub fn without_header() -> Result<Vec<String>> {
    let is_rust = |path: &String| path.ends_with(".rs");
    let files = tracked()?.into_iter().filter(is_rust);
    let texts = files.filter_map(|path| {
        Some((
            fs::read_to_string(workspace::root().join(&path)).ok()?,
            path,
        ))
    });
    Ok(texts
        .filter(|(text, path)| !has_header(text, path.starts_with("kernel/")))
        .map(|(_, path)| path)
        .collect())
}

fn has_header(text: &str, is_kernel: bool) -> bool {
    let licence = text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with(SPDX));
    let mut lines = text
        .lines()
        .skip_while(|line| line.starts_with(SPDX) || line.is_empty());
    (licence || !is_kernel) && lines.next().is_some_and(|line| line.starts_with("//!"))
}

/// Crates that the map doesn't show.
pub fn unmapped_crates() -> Result<Vec<String>> {
    let map = fs::read_to_string(workspace::root().join("ARCHITECTURE.md"))
        .context("reading ARCHITECTURE.md")?;
    Ok(workspace::packages()?
        .into_iter()
        .filter(|name| !map.contains(&format!("`{name}`")))
        .collect())
}

/// Lines of kernel drivers that reach behind the abstractions. A driver that keeps a registration
/// which borrows from its device can't do without `unsafe`: Linux 7.3 makes it promise not to leak
/// one. Accel drivers leave theirs to devres.
pub fn unsafe_drivers() -> Result<Vec<String>> {
    let mut found = Vec::new();
    let is_driver = |path: &&String| path.starts_with("kernel/drivers/") && path.ends_with(".rs");
    for path in tracked()?.iter().filter(is_driver) {
        let text = fs::read_to_string(workspace::root().join(path))?;
        let lines = text.lines().enumerate();
        let may_promise = !path.starts_with("kernel/drivers/accel/");
        let lines = lines.filter(|(_, line)| reaches_behind(line, may_promise));
        found.extend(lines.map(|(at, line)| format!("{path}:{}: {}", at + 1, line.trim())));
    }
    Ok(found)
}

fn reaches_behind(line: &str, may_promise: bool) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| word == "bindings" || (word == "unsafe" && !may_promise))
}

/// Lines that speak of one machine or of one mirror.
pub fn places() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in tracked()?.iter().filter(|path| *path != THIS_FILE) {
        // What is no text has no lines.
        let text = fs::read_to_string(workspace::root().join(path)).unwrap_or_default();
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| names_place(line));
        found.extend(lines.map(|(at, line)| format!("{path}:{}: {}", at + 1, line.trim())));
    }
    Ok(found)
}

fn names_place(line: &str) -> bool {
    // `drivers/root/` is no machine's path.
    let starts_path = |at: usize| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-)}*".contains(before))
    };
    let has_path = MACHINE_PATHS
        .iter()
        .any(|path| line.match_indices(path).any(|(at, _)| starts_path(at)));
    has_path || HOSTS.iter().any(|host| line.contains(host))
}

/// Commands in README that this program would refuse.
pub fn unknown_commands() -> Result<Vec<String>> {
    let commands = readme::commands()?;
    let ours = commands
        .iter()
        .filter_map(|command| Some((command, command.strip_prefix("cargo xtask")?)));
    let refused = ours.filter(|(_, rest)| {
        Cli::try_parse_from(["xtask"].into_iter().chain(rest.split_whitespace())).is_err()
    });
    Ok(refused.map(|(command, _)| command.clone()).collect())
}

fn tracked() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    let files = command::output(git.args(["ls-files", "-z"]).current_dir(workspace::root()))?;
    let exists = |path: &&str| !path.is_empty() && Path::new(workspace::root()).join(path).exists();
    Ok(files
        .split('\0')
        .filter(exists)
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        assert!(has_header("//! What.\n", false));
        assert!(has_header(
            "// SPDX-License-Identifier: GPL-2.0\n\n//! What.\n",
            true
        ));
        assert!(!has_header("//! What.\n", true));
        assert!(!has_header("use std::fs;\n//! What.\n", false));
        assert!(!has_header("", false));
    }

    #[test]
    fn what_drivers_may_not() {
        assert!(reaches_behind("    unsafe { f() }", false));
        assert!(!reaches_behind("    unsafe { f() }", true));
        assert!(reaches_behind("use kernel::bindings;", true));
        assert!(!reaches_behind("x // not unsafe", false));
        assert!(!reaches_behind("unsafe_code(bindings_of())", false));
    }

    #[test]
    fn places_of_one_machine() {
        assert!(names_place("see /root/notes"));
        assert!(names_place("URIs: http://deb.debian.org/debian"));
        assert!(!names_place("drivers/root/a.rs, $HOME, target/tmp/"));
    }
}
