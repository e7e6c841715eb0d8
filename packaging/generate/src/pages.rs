//! Sections of man pages beyond the command lines: the texts in `packaging/man`, with the tables of `docs` that they
//! include.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::markdown::{Block, blocks, table};

/// A section of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// In capitals, as is usual in man pages.
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

/// The text whose sections end each tool's page, except those that the page has itself.
const COMMON: &str = "tools";

/// Returns the sections of a page; those common to all tools come last.
pub(crate) fn sections(name: &str, is_tool: bool) -> Result<Vec<Section>, Box<dyn Error>> {
    let mut own = read(name)?;
    if is_tool {
        for section in read(COMMON)? {
            if own.iter().all(|other| other.title != section.title) {
                own.push(section);
            }
        }
    }
    Ok(own)
}

/// Returns the names of all texts, to detect one that belongs to no program.
pub(crate) fn names() -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(tree().join("packaging/man"))? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".md").filter(|name| *name != COMMON).map(str::to_owned));
    }
    Ok(names)
}

/// Reads a text; a missing one has no sections.
fn read(name: &str) -> Result<Vec<Section>, Box<dyn Error>> {
    let path = tree().join("packaging/man").join(format!("{name}.md"));
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    text.split("\n# ").map(|part| part.trim_start_matches("# ")).map(section).collect()
}

fn section(text: &str) -> Result<Section, Box<dyn Error>> {
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut all = Vec::new();
    for block in blocks(rest) {
        match &block {
            Block::Text(text) if text.starts_with("{{") => all.push(included(text)?),
            _ => all.push(block),
        }
    }
    Ok(Section { title: title.trim().to_owned(), blocks: all })
}

/// Returns the table that `{{docs/PAGE.md HEAD}}` includes: the one of that page with this head of its first column.
fn included(text: &str) -> Result<Block, Box<dyn Error>> {
    let wanted = text.trim_start_matches('{').trim_end_matches('}');
    let (path, head) = wanted.split_once(' ').ok_or_else(|| format!("{text} names no page and table"))?;
    let page = fs::read_to_string(tree().join(path)).map_err(|why| format!("{path}: {why}"))?;
    table(&page, head).ok_or_else(|| format!("{path} has no table whose head begins with {head:?}").into())
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
