//! Man pages: one per program, and one per command of a program with several commands, as in git.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::Roff;
use tools::command_lines;

use crate::markdown;
use crate::pages::{self, Section};

/// The section of programs for administrators.
const SECTION: &str = "8";
const DAEMON: &str = "flying-passenger";

/// Writes every page as `man8/NAME.8`, in the layout that `man -M` reads.
pub(crate) fn write_all(out: &Path) -> Result<(), Box<dyn Error>> {
    // Otherwise pages of removed commands would remain.
    let _none_from_before = fs::remove_dir_all(out);
    let out = &out.join(format!("man{SECTION}"));
    fs::create_dir_all(out)?;
    let mut written = Vec::new();
    for program in command_lines::all() {
        let mut program = program.disable_help_subcommand(true);
        program.build();
        write(&program, out, &mut written)?;
    }
    match pages::names()?.into_iter().find(|name| !written.contains(name)) {
        Some(name) => Err(format!("packaging/man/{name}.md belongs to no program").into()),
        None => Ok(()),
    }
}

fn write(command: &Command, out: &Path, written: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    let name = page_name(command);
    let page = page(command, &name)?;
    let aliases = command.get_visible_aliases().map(|alias| name.replace(command.get_name(), alias));
    for each in aliases.chain([name.clone()]) {
        fs::write(out.join(format!("{each}.{SECTION}")), &page)?;
    }
    for each in command.get_subcommands() {
        write(each, out, written)?;
    }
    written.push(name);
    Ok(())
}

/// Returns the text of a page.
fn page(command: &Command, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let sections = pages::sections(name, name != DAEMON)?;
    let (description, others): (Vec<_>, Vec<_>) =
        sections.into_iter().partition(|section| section.title == "DESCRIPTION");
    let man = Man::new(plain(command))
        .title(name.to_uppercase())
        .section(SECTION)
        // Pages of the same release are identical, whenever they are generated.
        .date(" ")
        .source(format!("flying-passenger {}", env!("CARGO_PKG_VERSION")))
        .manual("flying-passenger");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    if description.is_empty() {
        man.render_description_section(&mut text)?;
    }
    put_sections(&mut text, &description)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    put_sections(&mut text, &others)?;
    // clap_mangen writes a blank line between two breaks before possible values.
    Ok(ascii(&String::from_utf8(text)?.replace(".br\n\n.br\n", ".sp\n")))
}

/// Escapes characters outside ASCII by number, because not every formatter reads UTF-8.
fn ascii(text: &str) -> Vec<u8> {
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", c as u32) };
    text.chars().map(escape).collect::<String>().into_bytes()
}

fn put_sections(text: &mut impl Write, sections: &[Section]) -> Result<(), Box<dyn Error>> {
    for section in sections {
        let mut roff = Roff::new();
        roff.control("SH", [section.title.as_str()]);
        markdown::put(&mut roff, &section.blocks);
        roff.to_writer(text)?;
    }
    Ok(())
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
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
