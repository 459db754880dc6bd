//! Whatever reads a `.tflite` file.

use apu_compiler::{Error, Numerics, Optimise, Options, compile, import, inspect};

use super::interpreter::{Memory, run};

/// A file is no model, with an error that can be printed, or a graph that holds what the compiler takes for
/// granted, and about which it can tell.
pub fn importer(file: &[u8]) {
    match import(file) {
        Ok(graph) => {
            graph.check().expect("what is imported has been checked");
            if let Err(error) = inspect(file) {
                assert!(matches!(error, Error::TooLarge { .. }), "{error}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// For all numerics, a model is refused with an error, or compiled to programs that the firmware accepts,
/// and that compute the same whatever comes first.
pub fn compiler(file: &[u8]) {
    let compiled = [Numerics::Tflite, Numerics::Xnnpack].map(|numerics| compiled(file, numerics));
    if compiled.contains(&true) {
        assert!(
            inspect(file).is_ok(),
            "a model that compiles can be inspected"
        );
    }
}

/// Whether it is.
fn compiled(file: &[u8], numerics: Numerics) -> bool {
    let programs = [Optimise::Speed, Optimise::Size].map(|optimise| {
        let options = Options {
            optimise,
            numerics,
            ..Options::default()
        };
        match compile(file, &options) {
            Ok(compiled) => Some(compiled.program),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                None
            }
        }
    });
    let [Some(fast), Some(small)] = programs else {
        assert_eq!(programs, [None, None], "only one of both compiles");
        return false;
    };
    let accepted = "the firmware accepts what the compiler writes";
    let outputs = [fast, small].map(|program| Memory::of(&program).expect(accepted));
    let [fast, small] = outputs.map(|memory| memory.filter(Memory::is_small).map(run));
    if let (Some(fast), Some(small)) = (fast, small) {
        assert!(fast == small, "bands of rows change what is computed");
    }
    true
}
