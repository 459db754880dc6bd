//! `apu classify`.

use std::process::Stdio;

use crate::command::Folder;

#[test]
fn without_arguments_it_shows_its_own_picture_and_names_the_digit() {
    insta::assert_snapshot!(Folder::new().result("classify"));
}

#[test]
fn a_line_has_the_shape_of_label_image() {
    let folder = Folder::new();
    folder.write(
        "names.txt",
        b"zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n",
    );
    insta::assert_snapshot!(
        folder.result("classify digits.tflite digit.png --labels names.txt --top 3")
    );
}

#[test]
fn without_labels_a_line_ends_with_the_index() {
    let line = Folder::new().result("classify digits.tflite digit.png --top 1");
    let (score, class) = line.trim_end().split_once(": ").unwrap();
    assert!(score.parse::<f32>().unwrap() > 0.9, "{line}");
    assert!(class.parse::<usize>().unwrap() < 10, "{line}");
}

#[test]
fn json_says_the_same() {
    insta::assert_snapshot!(Folder::new().result("classify --json --top 2"));
}

#[test]
fn labels_of_another_model_are_warned_of() {
    let folder = Folder::new();
    folder.write("names.txt", b"cat\ndog\n");
    let done = folder.apu("classify digits.tflite digit.png --labels names.txt --top 1");
    assert_eq!(done.code, 0);
    assert!(
        done.stderr.contains("2 labels for 10 classes"),
        "{}",
        done.stderr
    );
    let quiet = folder.apu("--quiet classify digits.tflite digit.png --labels names.txt --top 1");
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (done.stdout, ""));
}

#[test]
fn a_compiled_program_says_the_same_as_its_model() {
    let folder = Folder::new();
    folder.result("compile digits.tflite -o digits.apu");
    assert_eq!(
        folder.result("classify digits.apu digit.png"),
        folder.result("classify digits.tflite digit.png"),
    );
}

#[test]
fn the_device_can_come_from_the_environment() {
    let folder = Folder::new();
    let output = folder
        .command("classify")
        .env("APU_DEVICE", "nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("`nowhere`")
    );
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = folder
        .command("classify")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}
