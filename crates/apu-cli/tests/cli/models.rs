//! `apu inspect`, and the models of the optional folder `shared` beside the repository.

use std::path::PathBuf;

use crate::command::Folder;

#[test]
fn inspect_lists_each_operator_and_where_it_runs() {
    insta::assert_snapshot!(Folder::new().result("inspect digits.tflite"));
}

#[test]
fn inspect_knows_compiled_programs() {
    let folder = Folder::new();
    folder.result("compile digits.tflite -o digits.apu");
    let text = folder.result("inspect digits.apu");
    assert!(text.contains("numerics tflite, target k4n16"), "{text}");
    assert!(text.contains("SOFTMAX"), "{text}");
    let json = folder.json("inspect digits.apu --json");
    assert_eq!(json["inputs"][0]["shape"], serde_json::json!([1, 8, 8, 1]));
}

#[test]
fn inspect_speaks_json() {
    let report = Folder::new().json("inspect digits.tflite --json");
    assert_eq!(report["totals"]["operators"], report["totals"]["placed"]);
    assert_eq!(report["operators"][0]["opcode"], "CONV_2D");
    assert_eq!(report["operators"][0]["placement"]["on"], "apu");
}

#[test]
fn mobilenet_names_the_two_pictures() {
    let Some(shared) = shared() else { return };
    let model = shared.join("models/mobilenet_v2_1.0_224_quant.tflite");
    let first = |image: &str| {
        let image = shared.join("images").join(image);
        Folder::new().result(&format!(
            "classify {} {} --top 1",
            model.display(),
            image.display()
        ))
    };
    assert!(first("grace_hopper.bmp").contains(": 653 military uniform"));
    assert!(first("cat.bmp").contains(": 286 Egyptian cat"));
}

#[test]
fn a_model_of_sounds_is_no_classifier_of_pictures() {
    let Some(shared) = shared() else { return };
    let model = shared.join("models/ad01_int8.tflite");
    let done = Folder::new().apu(&format!("classify {} digit.png", model.display()));
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.contains("its input has the shape [1, 640]"),
        "{}",
        done.stderr
    );
}

fn shared() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no folder ../shared with models beside the repository");
    None
}
