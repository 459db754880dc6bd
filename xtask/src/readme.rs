//! The commands that README shows, as written.

use std::fs;

use anyhow::{Context, Result};

use crate::workspace;

/// Lines of the fenced `sh` blocks.
pub fn commands() -> Result<Vec<String>> {
    let text =
        fs::read_to_string(workspace::root().join("README.md")).context("reading README.md")?;
    Ok(in_blocks(&text))
}

fn in_blocks(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            command if inside && !command.is_empty() && !command.starts_with('#') => {
                commands.push(command.to_owned())
            }
            _ => {}
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::in_blocks;

    #[test]
    fn only_shell_blocks_count() {
        let text =
            "```\nno\n```\n```sh\n# why\ncargo run\n\ncargo test\n```\nno\n```text\nno\n```\n";
        assert_eq!(in_blocks(text), ["cargo run", "cargo test"]);
    }
}
