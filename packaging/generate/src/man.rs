//! Man pages: one per program, and one per command of a program with several commands, as in git. `packaging/man` has the
//! sections that are not part of the command lines.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use tools::command_lines;

/// The section of programs for administrators.
const SECTION: &str = "8";
/// The programs that are not tools.
const SERVERS: [&str; 2] = ["flying-passenger", "flying-passenger-gate"];
/// The text that ends the page of each tool. Its first section is the exit status.
const COMMON: &str = "tools";

/// Writes every page as `man8/NAME.8`, in the layout that `man -M` reads.
pub(crate) fn write_all(out: &Path) -> Result<(), Box<dyn Error>> {
    // Otherwise pages of removed commands would remain.
    let _none_from_before = fs::remove_dir_all(out);
    let out = &out.join(format!("man{SECTION}"));
    fs::create_dir_all(out)?;
    for program in command_lines::all().into_iter().chain([gate::Arguments::command()]) {
        let mut program = program.disable_help_subcommand(true);
        program.build();
        write(&program, out)?;
    }
    for entry in fs::read_dir(texts())? {
        let name = entry?.path().with_extension(SECTION);
        let page = out.join(name.file_name().unwrap_or_default());
        if name.file_stem().is_none_or(|name| name != COMMON) && !page.exists() {
            return Err(
                format!("packaging/man has a text for {}, which does not exist", page.display()).into()
            );
        }
    }
    Ok(())
}

fn write(command: &Command, out: &Path) -> Result<(), Box<dyn Error>> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let page = page(command, name)?;
    let aliases = command.get_visible_aliases().map(|alias| name.replace(command.get_name(), alias));
    for each in aliases.chain([name.to_owned()]) {
        fs::write(out.join(format!("{each}.{SECTION}")), &page)?;
    }
    command.get_subcommands().try_for_each(|each| write(each, out))
}

/// Returns the text of a page.
fn page(command: &Command, name: &str) -> Result<String, Box<dyn Error>> {
    let own = text(name)?;
    let common = if SERVERS.contains(&name) { String::new() } else { text(COMMON)? };
    let (description, others) = split_first_section(&own);
    let common =
        if others.contains(".SH \"EXIT STATUS\"") { split_first_section(&common).1 } else { &common };
    let man = Man::new(plain(command))
        .title(name.to_uppercase())
        .section(SECTION)
        // Pages of the same release are identical, whenever they are generated.
        .date(" ")
        .source(format!("flying-passenger {}", env!("CARGO_PKG_VERSION")))
        .manual("flying-passenger");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    if description.is_empty() {
        man.render_description_section(&mut page)?;
    }
    page.extend(description.bytes());
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend([others, common].concat().bytes());
    // clap_mangen writes a blank line between two breaks before possible values.
    Ok(ascii(&String::from_utf8(page)?.replace(".br\n\n.br\n", ".sp\n")))
}

/// Escapes characters outside ASCII by number, because not every formatter reads UTF-8.
fn ascii(text: &str) -> String {
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", c as u32) };
    text.chars().map(escape).collect()
}

fn texts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../man")
}

/// Returns the sections in `packaging/man` for a page; most pages of commands have none.
fn text(name: &str) -> io::Result<String> {
    let path = texts().join(format!("{name}.roff"));
    if path.exists() { fs::read_to_string(path) } else { Ok(String::new()) }
}

/// Splits a text after its first section, which is the description in the text of a page.
fn split_first_section(text: &str) -> (&str, &str) {
    text.split_at(text.find("\n.SH ").map_or(text.len(), |at| at + 1))
}

/// Returns the command as shown on a page: with a short usage, and help without Markdown.
fn plain(command: &Command) -> Command {
    let words = |text: String| text.replace('`', "\"");
    let help = |arg: Arg| match (
        arg.get_help().map(ToString::to_string),
        arg.get_long_help().map(ToString::to_string),
    ) {
        (Some(short), Some(long)) => arg.help(words(short)).long_help(words(long)),
        (Some(short), None) => arg.help(words(short)),
        _ => arg,
    };
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    command.clone().mut_args(help).override_usage(usage).subcommand_help_heading("COMMANDS")
}
