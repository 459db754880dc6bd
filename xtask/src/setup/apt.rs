//! Packages of Debian's newest backports, downloaded but not installed.
//!
//! apt runs with a private source list, made from the machine's own by exchanging the suite, and
//! with private state, so it needs no rights and changes nothing outside the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::Progress;
use crate::{cache, command};

/// The suite whose codename is that of the newest backports.
const NEWEST: &str = "stable-backports";

/// One archive of the machine's own source list.
#[derive(Debug, PartialEq)]
struct Archive {
    uri: String,
    signed_by: Option<String>,
}

/// Downloads `package`, at a version that begins with `version`, and unpacks it into `dir`.
pub fn download(package: &str, version: Option<&str>, dir: &Path) -> Result<()> {
    let (apt, version) = find(package, version)?;
    eprintln!("downloading {package} {version} from {}", apt.suite);
    let _progress = Progress::start(&format!("downloading {package}"));
    let mut get = apt.command("apt-get");
    command::run(
        get.arg("download")
            .arg(format!("{package}={version}"))
            .current_dir(dir),
    )?;
    let is_package = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "deb");
    let deb = fs::read_dir(dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(is_package);
    let deb = deb.with_context(|| format!("apt-get left no package of {package}"))?;
    command::run(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(dir))?;
    fs::remove_file(deb).map_err(Into::into)
}

/// The first suite that has the package, and the version there.
fn find(package: &str, version: Option<&str>) -> Result<(Apt, String)> {
    let (codename, archive) = own_archive()?;
    // Mirrors refresh what is under a codename sooner than what is under an alias.
    let newest = Apt::update(&archive, NEWEST)?.codename()?;
    let mut suites = vec![newest, NEWEST.to_owned(), format!("{codename}-backports")];
    suites.dedup();
    let mut tried = Vec::new();
    for suite in suites {
        let found =
            Apt::update(&archive, &suite).and_then(|apt| Ok((apt.version(package, version)?, apt)));
        match found {
            Ok((version, apt)) => return Ok((apt, version)),
            Err(error) => tried.push(format!("{suite}: {error:#}")),
        }
    }
    let version = version.unwrap_or("any version");
    bail!(
        "no Debian backports have {package} ({version}). Tried:\n  {}",
        tried.join("\n  ")
    )
}

/// apt with private state, for one suite.
struct Apt {
    suite: String,
    state: PathBuf,
}

impl Apt {
    /// Reads the suite's index.
    fn update(archive: &Archive, suite: &str) -> Result<Self> {
        let state = cache::dir()?.join("apt").join(suite);
        fs::create_dir_all(state.join("lists/partial"))?;
        fs::create_dir_all(state.join("cache/archives/partial"))?;
        let options = archive
            .signed_by
            .iter()
            .map(|key| format!(" [signed-by={key}]"))
            .collect::<String>();
        fs::write(
            state.join("sources.list"),
            format!("deb{options} {} {suite} main\n", archive.uri),
        )?;
        let apt = Self {
            suite: suite.to_owned(),
            state,
        };
        let _progress = Progress::start(&format!("reading the index of {suite}"));
        command::run(
            apt.command("apt-get")
                .args(["--quiet", "--error-on=any", "update"]),
        )?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        for (option, path) in [
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::Etc::sourceparts", "none"),
            ("Dir::State::lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            apt.arg("-o")
                .arg(format!("{option}={}", self.state.join(path).display()));
        }
        apt.args([
            "-o",
            "APT::Sandbox::User=root",
            "-o",
            "APT::Get::List-Cleanup=false",
        ]);
        apt
    }

    /// The suite's proper name, as its signed index says.
    fn codename(&self) -> Result<String> {
        for entry in fs::read_dir(self.state.join("lists"))?.filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().ends_with("InRelease") {
                let release = fs::read_to_string(entry.path())?;
                let codename = release
                    .lines()
                    .find_map(|line| line.strip_prefix("Codename: "));
                return codename
                    .map(str::to_owned)
                    .with_context(|| format!("{} has no codename", self.suite));
            }
        }
        bail!("apt-get left no index of {}", self.suite)
    }

    fn version(&self, package: &str, wanted: Option<&str>) -> Result<String> {
        let table = command::output(self.command("apt-cache").args(["madison", package]))?;
        let versions = table
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(str::trim);
        let mut fitting =
            versions.filter(|version| wanted.is_none_or(|wanted| version.starts_with(wanted)));
        fitting
            .next()
            .map(str::to_owned)
            .with_context(|| format!("no such package: {package}"))
    }
}

/// The release's name, and the archive this machine gets it from.
fn own_archive() -> Result<(String, Archive)> {
    let os = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let codename = os
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename
        .context("this is no Debian release; pass --kernel-src and set RUST_LIB_SRC instead")?;
    for path in source_lists() {
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let is_list = path.extension().is_some_and(|kind| kind == "list");
        let found = if is_list {
            in_list(&text, codename)
        } else {
            in_stanzas(&text, codename)
        };
        if let Some(archive) = found {
            return Ok((codename.to_owned(), archive));
        }
    }
    bail!(
        "apt's source list has no archive of {codename}; pass --kernel-src and set RUST_LIB_SRC instead"
    )
}

fn source_lists() -> Vec<PathBuf> {
    let parts = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut lists: Vec<PathBuf> = parts.map(|entry| entry.path()).collect();
    lists.sort();
    lists.insert(0, "/etc/apt/sources.list".into());
    let is_list = |path: &PathBuf| {
        path.extension()
            .is_some_and(|kind| kind == "list" || kind == "sources")
    };
    lists.retain(|path| is_list(path) && path.exists());
    lists
}

/// Looks in lines such as `deb [signed-by=KEY] URI SUITE COMPONENT...`.
fn in_list(text: &str, suite: &str) -> Option<Archive> {
    text.lines().find_map(|line| {
        let line = line.trim().strip_prefix("deb ")?.trim_start();
        let (options, rest) = match line.strip_prefix('[') {
            Some(line) => line.split_once(']')?,
            None => ("", line),
        };
        let mut words = rest.split_whitespace();
        let (uri, found) = (words.next()?, words.next()?);
        let signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        (found == suite).then(|| Archive {
            uri: uri.to_owned(),
            signed_by: signed_by.map(str::to_owned),
        })
    })
}

/// Looks in stanzas of `Field: value` lines.
fn in_stanzas(text: &str, suite: &str) -> Option<Archive> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
        };
        let has = |name: &str, word: &str| {
            field(name).is_some_and(|value| value.split_whitespace().any(|found| found == word))
        };
        let uri = field("URIs")?.split_whitespace().next()?.to_owned();
        let signed_by = field("Signed-By")
            .filter(|key| key.starts_with('/'))
            .map(str::to_owned);
        (has("Types", "deb") && has("Suites", suite)).then_some(Archive { uri, signed_by })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(uri: &str, key: Option<&str>) -> Option<Archive> {
        Some(Archive {
            uri: uri.into(),
            signed_by: key.map(Into::into),
        })
    }

    #[test]
    fn one_line_lists_are_read() {
        let text = "# own\ndeb-src mirror:/a old main\ndeb [arch=amd64 signed-by=/key.gpg] mirror:/b old main\ndeb mirror:/c older main\n";
        assert_eq!(in_list(text, "old"), archive("mirror:/b", Some("/key.gpg")));
        assert_eq!(in_list(text, "older"), archive("mirror:/c", None));
        assert_eq!(in_list(text, "new"), None);
    }

    #[test]
    fn stanzas_are_read() {
        let text = "Types: deb\n# comment\nURIs: mirror:/a\nSuites: old old-updates\nComponents: main\nSigned-By: /key.gpg\n\n\
            Types: deb\nURIs: mirror:/s\nSuites: old-security\n";
        assert_eq!(
            in_stanzas(text, "old"),
            archive("mirror:/a", Some("/key.gpg"))
        );
        assert_eq!(in_stanzas(text, "old-security"), archive("mirror:/s", None));
        assert_eq!(in_stanzas(text, "new"), None);
    }
}
