//! `apu run`.

use npyz::WriterBuilder;

use crate::command::Folder;

/// A `.npy` file of zeros.
pub fn npy(type_string: &str, shape: &[u64], order: npyz::Order, bytes: usize) -> Vec<u8> {
    let mut file = Vec::new();
    npyz::WriteOptions::new_header_only()
        .dtype(npyz::DType::Plain(type_string.parse().unwrap()))
        .shape(shape)
        .order(order)
        .writer(&mut file)
        .write_header_only()
        .unwrap();
    file.resize(file.len() + bytes, 0);
    file
}

#[test]
fn tensors_go_in_and_out_as_npy() {
    let folder = Folder::new();
    folder.write("x.npy", &npy("|i1", &[1, 8, 8, 1], npyz::Order::C, 64));
    assert_eq!(
        folder.result("run digits.tflite --input x.npy --output-dir out/deep"),
        ""
    );

    let file = folder.read("out/deep/output_0.npy");
    let output = npyz::NpyFile::new(&file[..]).unwrap();
    assert_eq!(output.shape(), [1, 10]);
    let scores: Vec<i8> = output.into_vec().unwrap();
    let sum: i32 = scores.iter().map(|&score| i32::from(score) + 128).sum();
    assert!((250..=262).contains(&sum), "256ths that sum to {sum}");
}

#[test]
fn verbose_says_what_was_written() {
    let folder = Folder::new();
    folder.write("x.npy", &npy("|i1", &[1, 8, 8, 1], npyz::Order::C, 64));
    let done = folder.apu("-v run digits.tflite --input x.npy --output-dir out");
    assert_eq!(done.code, 0);
    assert!(
        done.stderr.contains("wrote out/output_0.npy"),
        "{}",
        done.stderr
    );
}

#[test]
fn fortran_order_is_refused() {
    let folder = Folder::new();
    folder.write(
        "x.npy",
        &npy("|i1", &[1, 8, 8, 1], npyz::Order::Fortran, 64),
    );
    let done = folder.apu("run digits.tflite --input x.npy --output-dir out");
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("Fortran order"), "{}", done.stderr);
}
