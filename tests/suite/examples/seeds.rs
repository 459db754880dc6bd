//! Writes what fuzzing begins with to a folder: `models` and `programs` of every operator.

use std::fs;
use std::io;
use std::path::PathBuf;

use suite::{golden, hostile};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let models = golden::models();
    for (target, seeds) in [("programs", hostile::programs(&models)), ("models", models)] {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for (index, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("{index}")), seed)?;
        }
    }
    Ok(())
}
