//! The page of supported operators in the tree is the one that the tables give. Write it anew with
//! `GOLDEN=refresh cargo test -p apu-compiler --test supported_ops`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../SUPPORTED_OPS.md");
    let page = apu_compiler::supported::page();
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "refresh") {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), page);
}
