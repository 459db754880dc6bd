//! Writes what fuzzing begins with to a folder: `models` and `programs` of every operator, and of whole
//! models that are small.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use suite::{golden, hostile, shared};

/// Bytes of a whole model; the fuzzer makes up none that are larger than the largest one that it begins with.
const MOST: u64 = 128 << 10;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let mut models = golden::models();
    models.extend(whole_models()?);
    for (target, seeds) in [("programs", hostile::programs(&models)), ("models", models)] {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for (index, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("{index}")), seed)?;
        }
    }
    Ok(())
}

/// Those of the project, and those beside the checkout.
fn whole_models() -> io::Result<Vec<Vec<u8>>> {
    let mut models = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/digits");
    for folder in [
        Some(own),
        shared::folder().map(|shared| shared.join("models")),
    ] {
        let Some(folder) = folder else { continue };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_model = entry.path().extension() == Some("tflite".as_ref());
            if is_model && entry.metadata()?.len() <= MOST {
                models.push(fs::read(entry.path())?);
            }
        }
    }
    Ok(models)
}
