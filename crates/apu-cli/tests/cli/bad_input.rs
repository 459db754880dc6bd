//! Every kind of bad input: the text that the user reads, and the exit code.

use std::fmt::Write;

use crate::command::{DIGITS, Folder};
use crate::tensors::npy;

#[test]
fn each_says_what_is_wrong_and_the_way_out() {
    let folder = Folder::new();
    bad_models(&folder);
    bad_files(&folder);
    let cases = [
        // models
        ("classify none.tflite digit.png", 2),
        ("inspect text.tflite", 2),
        ("bench empty.tflite", 2),
        ("inspect cut.tflite", 2),
        ("bench damaged.apu", 2),
        ("bench cut.apu", 2),
        ("compile digits.apu -o again.apu", 2),
        // pictures and labels
        ("classify digits.tflite none.png", 2),
        ("classify digits.tflite text.png", 2),
        ("classify digits.tflite cut.png", 2),
        ("classify --labels none.txt", 2),
        ("classify --labels latin1.txt", 2),
        // tensors
        (
            "run digits.tflite --input good.npy --input good.npy --output-dir out",
            2,
        ),
        ("run digits.tflite --input none.npy --output-dir out", 2),
        ("run digits.tflite --input type.npy --output-dir out", 2),
        ("run digits.tflite --input shape.npy --output-dir out", 2),
        (
            "run digits.tflite --input big_endian.npy --output-dir out",
            2,
        ),
        ("run digits.tflite --input text.npy --output-dir out", 2),
        ("run digits.tflite --input cut.npy --output-dir out", 2),
        (
            "run digits.tflite --input good.npy --output-dir digit.png",
            1,
        ),
        // devices
        ("classify --device npu", 2),
        ("classify --device /dev/accel/accel99", 1),
        ("classify --device /dev/null", 1),
        ("conformance in-process", 2),
        ("conformance /dev/accel/accel99", 1),
        ("conformance /dev/null", 1),
        ("conformance --list nothing_like_that", 2),
        ("conformance", 2),
        // the command line
        ("bench digits.tflite --runs 0", 2),
        ("classify digits.tflite", 2),
        ("classify --top 0", 2),
        ("clasify", 2),
        ("compile digits.tflite -o missing/digits.apu", 1),
    ];
    let mut texts = String::new();
    for (arguments, code) in cases {
        let done = folder.apu(arguments);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (code, ""),
            "apu {arguments}\n{}",
            done.stderr
        );
        assert!(
            !done.stderr.contains("panicked"),
            "apu {arguments}\n{}",
            done.stderr
        );
        writeln!(texts, "$ apu {arguments}\n{}", done.stderr).unwrap();
    }
    insta::assert_snapshot!(texts);
}

fn bad_models(folder: &Folder) {
    folder.result("compile digits.tflite -o digits.apu");
    let mut program = folder.read("digits.apu");
    folder.write("cut.apu", &program[..1000]);
    *program.last_mut().unwrap() ^= 1;
    folder.write("damaged.apu", &program);
    folder.write("text.tflite", b"hello, world");
    folder.write("empty.tflite", b"");
    folder.write("cut.tflite", &DIGITS[..5000]);
}

fn bad_files(folder: &Folder) {
    folder.write("text.png", b"hello, world");
    folder.write("cut.png", &folder.read("digit.png")[..1000]);
    folder.write("latin1.txt", b"na\xefve\n");
    let file = |type_string, shape: &[u64]| npy(type_string, shape, npyz::Order::C, 64);
    folder.write("good.npy", &file("|i1", &[1, 8, 8, 1]));
    folder.write("type.npy", &file("|u1", &[1, 8, 8, 1]));
    folder.write("shape.npy", &file("|i1", &[64]));
    folder.write("big_endian.npy", &file(">i4", &[16]));
    folder.write("text.npy", b"hello, world");
    let good = folder.read("good.npy");
    folder.write("cut.npy", &good[..good.len() - 1]);
}
