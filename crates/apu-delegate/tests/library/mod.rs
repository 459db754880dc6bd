//! The shared object that cargo built for these tests.

use std::path::PathBuf;

pub fn path() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.with_file_name("libapu_delegate.so")
}
