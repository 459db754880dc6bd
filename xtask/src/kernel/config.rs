//! Kernel configurations: fragments of `kernel/configs`, everything else off.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::make::Make;
use crate::workspace;

/// One configuration.
pub struct Config {
    name: &'static str,
    text: String,
}

impl Config {
    /// Reads the fragments.
    pub fn read(debug: bool) -> Result<Self> {
        let (name, fragments) = if debug {
            ("debug", ["uml", "debug"].as_slice())
        } else {
            ("release", ["uml"].as_slice())
        };
        let mut text = String::new();
        for fragment in fragments {
            let path = workspace::root().join(format!("kernel/configs/{fragment}.config"));
            text += &fs::read_to_string(&path)
                .with_context(|| format!("reading {}", path.display()))?;
        }
        Ok(Self { name, text })
    }

    /// `release` or `debug`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The fragments, one after the other.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Configures, without what the tree doesn't know.
    pub fn configure(&self, make: &Make) -> Result<()> {
        fs::create_dir_all(make.objects)?;
        let fragment = make.objects.join("fragments.config");
        fs::write(&fragment, &self.text)?;
        make.run_with(
            "allnoconfig",
            &[("KCONFIG_ALLCONFIG", fragment.as_os_str())],
        )
    }

    /// Configures. Kconfig silently drops what it doesn't know or can't have, so every
    /// option is looked for in the result.
    pub fn apply(&self, make: &Make) -> Result<()> {
        self.configure(make)?;
        let got = fs::read_to_string(make.objects.join(".config"))?;
        let dropped = dropped(&self.text, &got);
        ensure!(
            dropped.is_empty(),
            "Kconfig dropped from the {} configuration: {}",
            self.name,
            dropped.join(", ")
        );
        Ok(())
    }
}

/// The options of `wanted` that are not so in `got`. A later line overrides an earlier one.
fn dropped<'a>(wanted: &'a str, got: &str) -> Vec<&'a str> {
    let got: HashSet<&str> = got.lines().collect();
    let mut seen = HashSet::new();
    let options = wanted
        .lines()
        .rev()
        .filter(|line| line.starts_with("CONFIG_"));
    let last = options.filter_map(|line| {
        line.split_once('=')
            .map(|(name, value)| (line, name, value))
    });
    let last = last.filter(|(_, name, _)| seen.insert(*name));
    let is_so = |line: &str, name: &str, value: &str| match value {
        "n" => !got.iter().any(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        }),
        _ => got.contains(line),
    };
    last.filter(|(line, name, value)| !is_so(line, name, value))
        .map(|(line, ..)| line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_kconfig_dropped_is_found() {
        let got = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_CD=y\n";
        assert!(dropped("# text\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_C=n\n", got).is_empty());
        assert_eq!(
            dropped("CONFIG_B=y\nCONFIG_CD=n\n", got),
            ["CONFIG_CD=n", "CONFIG_B=y"]
        );
        assert!(dropped("CONFIG_B=y\nCONFIG_B=n\n", got).is_empty());
    }
}
