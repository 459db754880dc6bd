//! The optional folder of real models beside the checkout.

use std::{fs, path::Path};

/// Names and bytes of its models, by name; none, with a message, when it isn't there.
pub fn models() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models");
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("skipped: no models in {}", folder.display());
        return Vec::new();
    };
    let mut models: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "tflite")
        })
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    models.sort();
    models
}
