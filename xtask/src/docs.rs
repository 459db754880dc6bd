//! `docs`: what the book shows of the code is the code.
//!
//! A page of `docs/` has blocks that are made, each between two comments: the first says of what,
//! the second ends it. `docs` writes the blocks anew; `docs --check` says which differ.

mod excerpt;
pub mod lines;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace;

const BEGIN: &str = "<!-- made: ";
const END: &str = "<!-- made: end -->";

/// What to do with the book.
#[derive(Args)]
pub struct Docs {
    /// Only says which blocks differ from what they are made of
    #[arg(long)]
    check: bool,
}

/// Makes the blocks of every page, or checks them.
pub fn main(docs: &Docs) -> Result<ExitCode> {
    if docs.check {
        let stale = stale()?;
        stale.iter().for_each(|line| println!("{line}"));
        return Ok(ExitCode::from(u8::from(!stale.is_empty())));
    }
    for page in pages()? {
        let text = read(&page)?;
        fs::write(&page, made(&text)?).with_context(|| format!("writing {}", page.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Pages that are not as they would be made.
pub fn stale() -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for page in pages()? {
        let text = read(&page)?;
        if made(&text).with_context(|| page.display().to_string())? != text {
            let page = page.strip_prefix(workspace::root()).unwrap_or(&page);
            stale.push(format!("{}: run cargo xtask docs", page.display()));
        }
    }
    Ok(stale)
}

/// `text` with its blocks made anew.
fn made(text: &str) -> Result<String> {
    let mut made = String::new();
    let mut rest = text;
    while let Some((before, block)) = rest.split_once(BEGIN) {
        let (what, block) = block
            .split_once(" -->\n")
            .context("a block's comment has no end")?;
        let (_, after) = block
            .split_once(END)
            .with_context(|| format!("{what} has no end"))?;
        let block = block_of(what).with_context(|| format!("making {what}"))?;
        made += &format!("{before}{BEGIN}{what} -->\n{block}{END}");
        rest = after;
    }
    Ok(made + rest)
}

/// The text of a block: `lines`, or `code FILE MARKER`.
fn block_of(what: &str) -> Result<String> {
    match what.split_whitespace().collect::<Vec<_>>()[..] {
        ["lines"] => lines::table(),
        ["code", file, ref marker @ ..] => {
            let text = read(&workspace::root().join(file))?;
            excerpt::of(&text, Path::new(file), &marker.join(" "))
        }
        _ => bail!("neither `lines` nor `code FILE MARKER`"),
    }
}

fn pages() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(workspace::root().join("docs")).context("reading docs")?;
    let mut pages: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .collect();
    pages.sort();
    Ok(pages)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
