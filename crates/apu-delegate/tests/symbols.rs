//! The shared object shows the two functions that loaders look for, and asks for none of the runtime.
#![allow(missing_docs, clippy::unwrap_used)]

mod library;

use object::{Object, ObjectSymbol};

fn names(wanted: impl Fn(&object::Symbol) -> bool) -> Vec<String> {
    let bytes = std::fs::read(library::path()).unwrap();
    let file = object::File::parse(bytes.as_slice()).unwrap();
    let symbols = file.dynamic_symbols().filter(wanted);
    let mut names: Vec<_> = symbols.map(|s| s.name().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn only_the_two_functions_are_exported() {
    let exported = names(|symbol| symbol.is_definition() && symbol.is_global());
    assert_eq!(
        exported,
        [
            "tflite_plugin_create_delegate",
            "tflite_plugin_destroy_delegate"
        ]
    );
}

#[test]
fn nothing_of_the_runtime_is_imported() {
    let imported = names(|symbol| symbol.is_undefined());
    assert!(imported.iter().any(|name| name == "memcpy"), "{imported:?}");
    let of_runtime = |name: &&String| name.to_lowercase().contains("tflite");
    let of_runtime: Vec<_> = imported.iter().filter(of_runtime).collect();
    assert!(of_runtime.is_empty(), "{of_runtime:?}");
}
