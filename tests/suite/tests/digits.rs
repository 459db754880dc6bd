//! The project's own model keeps the accuracy that its README states.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::path::{Path, PathBuf};

use apu_compiler::Options;
use suite::archive::bytes;
use suite::inference::{load, run};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models/digits")
        .join(name)
}

fn array(name: &str) -> Vec<u8> {
    bytes(npyz::NpyFile::new(File::open(file(name)).unwrap()).unwrap())
}

#[test]
fn held_back_digits_are_told_as_often_as_the_readme_says() {
    let (pictures, labels) = (
        array("held_back_pictures.npy"),
        array("held_back_labels.npy"),
    );
    let model = std::fs::read(file("digits.tflite")).unwrap();
    let mut context = load(&model, &Options::default()).unwrap();
    let mut classify = |pixels: &[u8]| {
        let input: Vec<u8> = pixels.iter().map(|p| p.wrapping_sub(128)).collect();
        let scores = run(&mut context, &[&input]).unwrap().remove(0);
        (0..)
            .zip(scores)
            .max_by_key(|&(_, score)| score.cast_signed())
            .unwrap()
            .0
    };
    let right = pictures
        .chunks_exact(8 * 8)
        .zip(&labels)
        .filter(|(p, label)| classify(p) == **label)
        .count();
    let stated = format!("**{right} of the {} held-back pictures", labels.len());
    let readme = std::fs::read_to_string(file("README.md")).unwrap();
    assert!(readme.contains(&stated), "README.md does not say: {stated}");
}
