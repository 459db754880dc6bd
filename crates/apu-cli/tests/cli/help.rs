//! The texts of `--help`.

use crate::command::Folder;

#[test]
fn each_command_explains_itself() {
    let folder = Folder::new();
    for command in [
        "",
        "classify",
        "run",
        "inspect",
        "bench",
        "compile",
        "diff",
        "devices",
        "conformance",
        "operators",
    ] {
        let name = if command.is_empty() { "apu" } else { command };
        insta::assert_snapshot!(
            format!("{name}"),
            folder.result(&format!("{command} --help"))
        );
    }
}
