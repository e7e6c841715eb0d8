//! Conversion of Markdown, as far as the manual uses it, to paragraphs of a man page.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// A paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    Text(String),
    /// Lines of code, unchanged.
    Code(Vec<String>),
    /// The cells of a table without its head.
    Table(Vec<Vec<String>>),
}

/// Returns the blocks of a text without headings.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.trim_matches('\n'));
    paragraphs.filter(|paragraph| !paragraph.trim().is_empty()).map(block).collect()
}

fn block(paragraph: &str) -> Block {
    if paragraph.starts_with("| ") {
        return Block::Table(rows(paragraph));
    }
    let code = paragraph.lines().map(|line| line.strip_prefix("    ").map(str::to_owned));
    match code.collect() {
        Some(lines) => Block::Code(lines),
        None => Block::Text(paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ")),
    }
}

/// Returns the table of a page whose head begins with this cell.
pub(crate) fn table(page: &str, head: &str) -> Option<Block> {
    let start = page.find(&format!("\n| {head} |"))? + 1;
    page[start..].split("\n\n").next().map(|table| Block::Table(rows(table)))
}

fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    table.lines().skip(2).map(cells).collect()
}

/// Appends the blocks of a section to a page.
pub(crate) fn put(roff: &mut Roff, blocks: &[Block]) {
    for (at, block) in blocks.iter().enumerate() {
        if at > 0 && !matches!(block, Block::Table(_)) {
            roff.control("PP", []);
        }
        match block {
            Block::Text(text) => drop(roff.text(inlines(text))),
            Block::Code(lines) => put_code(roff, lines),
            Block::Table(rows) => rows.iter().for_each(|row| put_row(roff, row)),
        }
    }
}

fn put_code(roff: &mut Roff, lines: &[String]) {
    roff.control("RS", ["4"]);
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.control("RE", []);
}

/// Appends the first two cells; the others are only for readers of the documentation.
fn put_row(roff: &mut Roff, row: &[String]) {
    roff.control("TP", []);
    for cell in row.iter().take(2) {
        roff.text(inlines(cell));
    }
}

/// Converts code to bold, and links to their text.
pub(crate) fn inlines(text: &str) -> Vec<Inline> {
    let text = without_links(text);
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

/// Replaces `[text](where)` by `text`.
pub(crate) fn without_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((name, (_, after))) =
            link.split_once("](").and_then(|(name, tail)| Some((name, tail.split_once(')')?)))
        else {
            break;
        };
        out.push_str(before);
        out.push_str(name);
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_code_and_tables_are_told_apart() {
        let text = "one\ntwo\n\n    code\n      more\n\n| a | b |\n| --- | --- |\n| `x` | y |\n";
        let cells = vec![vec!["`x`".to_owned(), "y".to_owned()]];
        assert_eq!(
            blocks(text),
            [
                Block::Text("one two".into()),
                Block::Code(vec!["code".into(), "  more".into()]),
                Block::Table(cells.clone()),
            ]
        );
        assert_eq!(
            table(&format!("# T\n\n{}", &text[text.find('|').unwrap()..]), "a"),
            Some(Block::Table(cells))
        );
        assert_eq!(table(text, "c"), None);
    }

    #[test]
    fn code_is_bold_and_a_link_is_its_text() {
        let page = inlines("see [SIGNALS](SIGNALS.md) of `kill`");
        assert_eq!(page, [roman("see SIGNALS of "), bold("kill")]);
        assert_eq!(without_links("a [b] c"), "a [b] c");
    }
}
