//! Tables on stdout.

use std::io::{Write, stdout};

use comfy_table::{ContentArrangement, Table, presets};

use crate::error::Error;

/// A table without lines, no wider than the terminal.
pub fn new<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// Prints it.
pub fn print(table: &Table) -> Result<(), Error> {
    Ok(writeln!(stdout(), "{}", table.trim_fmt())?)
}
