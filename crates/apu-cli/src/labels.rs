//! Names of classes.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use crate::error::Error;

/// More bytes than labels ever have; what a model file claims to hold beyond is not read.
const MOST_BYTES: u64 = 16 << 20;

/// One name a class, beginning with class 0.
#[derive(Debug)]
pub struct Labels(Vec<String>);

impl Labels {
    /// Reads a text file with one name a line.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            what: "the labels",
            path: path.into(),
            source,
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|source| Error::Labels {
            path: path.into(),
            source,
        })?;
        Ok(Self::parse(text))
    }

    /// The first text file of the zip archive that TFLite's metadata writer appends to a model.
    pub fn inside(model: &[u8]) -> Option<Self> {
        let mut archive = ZipArchive::new(Cursor::new(model)).ok()?;
        let name = archive
            .file_names()
            .find(|name| name.ends_with(".txt"))?
            .to_owned();
        let mut text = String::new();
        archive
            .by_name(&name)
            .ok()?
            .take(MOST_BYTES)
            .read_to_string(&mut text)
            .ok()?;
        Some(Self::parse(&text))
    }

    /// One name a line.
    pub fn parse(text: &str) -> Self {
        Self(
            text.lines()
                .map(|line| line.trim_end().to_owned())
                .collect(),
        )
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of a class, if it has one.
    pub fn get(&self, class: usize) -> Option<&str> {
        self.0.get(class).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_whatever_ends_them() {
        let labels = Labels::parse("tench\r\ngold fish\n\nlast");
        assert_eq!(
            (labels.len(), labels.get(1), labels.get(3)),
            (4, Some("gold fish"), Some("last"))
        );
        assert_eq!(labels.get(4), None);
    }

    #[test]
    fn a_model_without_an_archive_has_no_labels() {
        assert!(Labels::inside(b"\x20\0\0\0TFL3 and no more").is_none());
    }
}
