//! `apu diff`, which needs a Python with LiteRT but for its complaints.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::command::{DIGITS, Folder};

/// The Python that `APU_LITERT_PYTHON` names.
fn python() -> Option<OsString> {
    let python = std::env::var_os("APU_LITERT_PYTHON");
    if python.is_none() {
        println!("skipped: APU_LITERT_PYTHON names no Python with LiteRT");
    }
    python
}

fn diff(folder: &Folder, arguments: &str) -> (Option<i32>, Value, String) {
    let output = folder.command(&format!("diff digits.tflite --json {arguments}"));
    let output = { output }.output().unwrap();
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap_or_default(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_model_that_is_right_is_equal_in_every_layer() {
    if python().is_none() {
        return;
    }
    for numerics in ["tflite", "xnnpack"] {
        let (code, report, stderr) = diff(&Folder::new(), &format!("--numerics {numerics}"));
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert_eq!(report["first"], Value::Null);
        let layers = report["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 11);
        assert!(layers.iter().all(|layer| layer["difference"].is_null()));
        assert_eq!(report["outputs"], json!([null]));
    }
}

/// LiteRT gets the model as it is, the APU one with another bias.
#[test]
fn the_first_operator_that_is_wrong_is_named_and_by_how_much() {
    let Some(python) = python() else { return };
    let folder = Folder::new();
    folder.write("right.tflite", DIGITS);
    folder.write("digits.tflite", &with_another_bias());
    let wrapper = folder.path().join("python");
    let exec = format!(
        "#!/bin/sh\nexec '{}' \"$1\" right.tflite \"$3\" \"$4\"\n",
        python.display()
    );
    folder.write("python", exec.as_bytes());
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();

    let (code, report, stderr) = diff(&folder, "--python ./python");
    assert_eq!(code, Some(1), "{stderr}");
    let layers = report["layers"].as_array().unwrap();
    let first = report["first"].as_u64().unwrap() as usize;
    assert_eq!(layers[first]["opcode"], WRONG.0);
    assert_eq!(first, WRONG.1);
    assert!(
        layers[..first]
            .iter()
            .all(|layer| layer["difference"].is_null())
    );
    assert!(layers[first]["difference"]["largest"].as_f64().unwrap() >= 1.0);
    assert!(
        stderr.contains(&format!("operator {first} {} ", WRONG.0)),
        "{stderr}"
    );
}

/// The operator whose bias [`with_another_bias`] changes.
const WRONG: (&str, usize) = ("DEPTHWISE_CONV_2D", 3);

/// The model with a bias of operator [`WRONG`] made much larger.
fn with_another_bias() -> Vec<u8> {
    let graph = apu_compiler::import(DIGITS).unwrap();
    let operator = &graph.operators[WRONG.1];
    assert_eq!(operator.opcode.to_string(), WRONG.0);
    let bias = &graph.tensors[operator.inputs[2].unwrap()];
    let bias = bias.elements().unwrap();
    let at = DIGITS
        .windows(bias.len())
        .position(|bytes| bytes == bias)
        .unwrap();
    let mut model = DIGITS.to_vec();
    for word in model[at..at + bias.len()].chunks_exact_mut(4) {
        let value = i32::from_le_bytes(word.try_into().unwrap());
        word.copy_from_slice(&(value + 4000).to_le_bytes());
    }
    model
}

#[test]
fn without_litert_it_says_how_to_get_it() {
    let folder = Folder::new();
    for python in ["/nowhere/python", "true", "false"] {
        let (code, _, stderr) = diff(&folder, &format!("--python {python}"));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("pip install ai-edge-litert"), "{stderr}");
        assert!(stderr.contains(python), "{stderr}");
    }
}

/// As `stages.py` ends where LiteRT raises.
#[test]
fn what_litert_itself_refuses_is_no_fault_of_the_python() {
    let folder = Folder::new();
    let wrapper = folder.path().join("python");
    folder.write(
        "python",
        b"#!/bin/sh\necho 'Registration failed.' >&2\nexit 3\n",
    );
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, _, stderr) = diff(&folder, "--python ./python");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("LiteRT itself can't run"), "{stderr}");
    assert!(stderr.contains("Registration failed."), "{stderr}");
    assert!(!stderr.contains("pip install"), "{stderr}");
}
