//! Models and pictures that lie beside the checkout on some machines.

use std::path::{Path, PathBuf};

use crate::skip::Skip;

/// The folder `shared` beside the checkout, if there is one.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    folder.is_dir().then_some(folder)
}

/// A file in the folder `shared` beside the checkout.
///
/// # Errors
/// [`Skip`] when there is no such folder. A file that is missing from it is a failure.
pub fn file(name: &str) -> Result<PathBuf, Skip> {
    let Some(folder) = folder() else {
        return Err(Skip("there is no folder ../shared with models".into()));
    };
    let file = folder.join(name);
    assert!(file.is_file(), "../shared has no {name}");
    Ok(file)
}
