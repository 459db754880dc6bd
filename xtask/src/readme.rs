//! The commands that README and other documents show, as written.

use std::fs;

use anyhow::{Context, Result};

use crate::workspace;

/// Lines of README's fenced `sh` blocks.
pub fn commands() -> Result<Vec<String>> {
    commands_of("README.md")
}

/// Lines of a document's fenced `sh` blocks.
pub fn commands_of(document: &str) -> Result<Vec<String>> {
    Ok(commands_in(&in_blocks(&read(document)?, "sh")))
}

/// What a document's fenced `python` blocks hold.
pub fn python_of(document: &str) -> Result<String> {
    Ok(in_blocks(&read(document)?, "python"))
}

fn read(document: &str) -> Result<String> {
    fs::read_to_string(workspace::root().join(document))
        .with_context(|| format!("reading {document}"))
}

fn commands_in(lines: &str) -> Vec<String> {
    let lines = lines.lines().map(str::trim);
    let is_command = |line: &&str| !line.is_empty() && !line.starts_with('#');
    lines.filter(is_command).map(str::to_owned).collect()
}

/// The lines of all blocks of a language.
fn in_blocks(text: &str, language: &str) -> String {
    let mut lines = String::new();
    let mut inside = false;
    for line in text.lines() {
        match line.trim().strip_prefix("```") {
            Some(opened) => inside = !inside && opened == language,
            None if inside => lines += &format!("{line}\n"),
            None => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{commands_in, in_blocks};

    #[test]
    fn only_shell_blocks_count() {
        let text =
            "```\nno\n```\n```sh\n# why\ncargo run\n\ncargo test\n```\nno\n```text\nno\n```\n";
        let commands = commands_in(&in_blocks(text, "sh"));
        assert_eq!(commands, ["cargo run", "cargo test"]);
    }
}
