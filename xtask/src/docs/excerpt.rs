//! Parts of a source file, each from a comment that names it to the next such comment.

use std::path::Path;

use anyhow::{Result, ensure};

/// What the comments begin with, after the language's own comment sign.
const MARKER: &str = "afternoon: ";

/// The part of `text` that is called `name`, as a fenced block.
pub fn of(text: &str, file: &Path, name: &str) -> Result<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        match marker(line) {
            Some(marker) => inside = marker == name,
            None if inside => lines.push(line),
            None => {}
        }
    }
    ensure!(!lines.is_empty(), "{} has no part {name}", file.display());
    let language = match file.extension().and_then(|kind| kind.to_str()) {
        Some("rs") => "rust",
        Some("dts") => "dts",
        _ => "c",
    };
    let code = dedent(&lines);
    Ok(format!("```{language}\n{}\n```\n", code.trim_matches('\n')))
}

fn marker(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("// ")?.strip_prefix(MARKER)
}

/// The lines without the indentation that all of them have.
fn dedent(lines: &[&str]) -> String {
    let indented = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = indented.map(|line| line.len() - line.trim_start().len());
    let indent = indent.min().unwrap_or(0);
    let lines = lines.iter().map(|line| line.get(indent..).unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_where_the_next_begins() {
        let text = "//! X\n// afternoon: a\nfn a() {\n\n    // afternoon: b c\n    let b;\n}\n";
        let part = |name| of(text, Path::new("x.rs"), name);
        assert_eq!(part("a").unwrap(), "```rust\nfn a() {\n```\n");
        assert_eq!(part("b c").unwrap(), "```rust\n    let b;\n}\n```\n");
        assert_eq!(part("d").unwrap_err().to_string(), "x.rs has no part d");
    }
}
