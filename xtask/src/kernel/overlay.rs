//! What this project adds to a Linux tree: the files of `kernel/` at the paths they have there, the
//! patches of `kernel/patches`, and the messages of `protocol/`, which kernel and firmware share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use blake3::Hasher;

use crate::workspace;

/// Folders of `kernel/` that are not part of a Linux tree.
const OURS: [&str; 2] = ["patches", "configs"];
/// Files of the checkout that go into a tree under another name.
const SHARED: [(&str, &str); 2] = [
    ("protocol/src/message.rs", "drivers/accel/apu/message.rs"),
    ("protocol/src/pte.rs", "drivers/accel/apu/pte.rs"),
];

/// Everything that is added.
#[derive(Clone, Default)]
pub struct Overlay {
    /// New files, by their path in the tree.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Patches in the order of their names.
    pub patches: BTreeMap<PathBuf, Vec<u8>>,
}

impl Overlay {
    /// Reads the overlay from the checkout.
    pub fn read() -> Result<Self> {
        let kernel = workspace::root().join("kernel");
        let mut files = BTreeMap::new();
        for entry in
            fs::read_dir(&kernel).with_context(|| format!("reading {}", kernel.display()))?
        {
            let entry = entry?;
            let is_ours = OURS.iter().any(|name| entry.file_name() == *name);
            if entry.file_type()?.is_dir() && !is_ours {
                files.extend(read_dir(&entry.path(), &kernel)?);
            }
        }
        for (from, to) in SHARED {
            files.insert(to.into(), read(&workspace::root().join(from))?);
        }
        let patches = kernel.join("patches");
        let mut patches = read_dir(&patches, &patches)?;
        patches.retain(|path, _| path.extension().is_some_and(|kind| kind == "patch"));
        Ok(Self { files, patches })
    }

    /// Adds every path and content.
    pub fn hash(&self, hash: &mut Hasher) {
        for (path, content) in self.files.iter().chain(&self.patches) {
            let path = path.as_os_str().as_encoded_bytes();
            for part in [path, content] {
                hash.update(&part.len().to_le_bytes()).update(part);
            }
        }
    }
}

/// Whether the file at `path` of the tree comes from elsewhere in the checkout.
pub fn is_shared(path: &Path) -> bool {
    SHARED.iter().any(|(_, to)| Path::new(to) == path)
}

/// All files below `dir`, by their path relative to `base`.
pub fn read_dir(dir: &Path, base: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(read_dir(&entry.path(), base)?);
        } else {
            files.insert(
                entry.path().strip_prefix(base)?.to_owned(),
                read(&entry.path())?,
            );
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}
