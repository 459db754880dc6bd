//! Names this compiler by what it is made of, so that no cache takes it for another one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Sources that a program depends on; of a packaged crate only its own are there.
const SOURCES: [&str; 4] = [
    "src",
    "../apu-firmware/src",
    "../apu-kernels/src",
    "../../protocol/src",
];

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for folder in SOURCES.iter().map(Path::new).filter(|path| path.is_dir()) {
        println!("cargo:rerun-if-changed={}", folder.display());
        collect(folder, &mut files)?;
    }
    files.sort();
    let mut hash = blake3::Hasher::new();
    for file in files {
        let text = fs::read(&file)?;
        hash.update(file.display().to_string().as_bytes());
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(&text);
    }
    println!("cargo:rustc-env=APU_COMPILER={}", hash.finalize().to_hex());
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
