//! What the compiler can place, as a page for people: written from the tables that decide it.

use std::fmt::Write;

use crate::constraints::{ARGUMENTS, CONSTRAINTS, Constraint, Kind, LIMITS, SUPPORTED};

/// Names of all operators that can be placed, in order.
pub fn operators() -> impl Iterator<Item = String> {
    SUPPORTED.iter().map(|kind| kind.opcode.to_string())
}

/// The page in Markdown.
pub fn page() -> String {
    let mut page = format!(
        "# Supported operators\n\n\
         The compiler can place {} of TFLite's operators on an APU. Each has requirements; the compiler checks them in\n\
         the order below, and `apu inspect` names the first one that an operator breaks, what it has, and what would do.\n\
         An operator that reads only constants is computed when compiling.\n\n\
         `apu operators` prints this page from the tables that the compiler itself uses.\n\n\
         ## All operators\n\n",
        SUPPORTED.len()
    );
    for constraint in constraints().filter(|c| c.operators.is_empty()).skip(1) {
        line(&mut page, "- ", constraint);
        page.push('\n');
    }
    page.push_str("\n## Each operator\n\n| operator | needs |\n|---|---|\n");
    for kind in SUPPORTED {
        row(&mut page, kind);
    }
    page
}

fn constraints() -> impl Iterator<Item = &'static Constraint> {
    CONSTRAINTS.iter().chain([&ARGUMENTS, &LIMITS])
}

fn row(page: &mut String, kind: &Kind) {
    // Writing to a string can't fail.
    let _ = write!(page, "| {} | ", kind.opcode);
    let own = constraints().filter(|c| c.operators.contains(&kind.opcode));
    for (index, constraint) in own.enumerate() {
        line(page, if index > 0 { "<br>" } else { "" }, constraint);
    }
    page.push_str(" |\n");
}

fn line(page: &mut String, before: &str, constraint: &Constraint) {
    let _ = write!(page, "{before}*{}*: {}", constraint.name, constraint.needed);
}
