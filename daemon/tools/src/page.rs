//! Test of docs/TOOLS.md: the page documents exactly the arguments that the tools accept.

use clap::{Arg, ArgAction, Command};

use crate::command_lines;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/TOOLS.md")).unwrap()
}

/// Returns the text below a heading up to the next one; empty when the heading does not exist.
fn below<'p>(page: &'p str, heading: &str) -> &'p str {
    let start = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_default();
    start.split("\n#").next().unwrap_or_default()
}

/// Returns the first column of the table with this first head cell below a heading; empty when there is no table.
fn first_cells<'p>(page: &'p str, heading: &str, head: &str) -> Vec<&'p str> {
    let section = below(page, heading);
    let table = section.split(&format!("| {head} |")).nth(1).and_then(|rest| rest.split("\n\n").next());
    let rows = table.unwrap_or_default().lines().skip(2);
    rows.map(|row| row.trim_start_matches("| ").split(" | ").next().unwrap()).collect()
}

/// Returns an argument in the page's notation; `None` for those that the page documents once for all tools.
fn written(argument: &Arg) -> Option<String> {
    let is_of_clap = matches!(argument.get_action(), ArgAction::Help | ArgAction::Version);
    if is_of_clap || argument.get_long() == Some("instance") {
        return None;
    }
    let names = argument.get_value_names().map(|names| names[0].to_string()).unwrap_or_default();
    let Some(long) = argument.get_long() else { return Some(format!("`{names}`")) };
    let values = argument.get_num_args().unwrap();
    let value = match (values.takes_values(), values.min_values()) {
        (false, _) => String::new(),
        (true, 0) => format!(" [{names}]"),
        (true, _) => format!(" {names}"),
    };
    let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    Some(format!("{short}`--{long}{value}`"))
}

fn tools() -> Vec<Command> {
    let mut tools: Vec<_> = command_lines::all().into_iter().skip(1).collect();
    tools.iter_mut().for_each(Command::build);
    tools
}

#[test]
fn the_page_documents_every_flag_of_every_command() {
    let page = page();
    for tool in tools() {
        let own = [(format!("## {}", tool.get_name()), tool.clone())];
        let commands = tool.get_subcommands().filter(|command| command.get_name() != "help");
        let commands = commands.map(|command| (format!("### {}", command.get_name()), command.clone()));
        for (heading, command) in own.into_iter().chain(commands) {
            let mut accepted: Vec<_> = command.get_arguments().filter_map(written).collect();
            let mut documented = first_cells(&page, &heading, "flag");
            if command.get_positionals().any(|argument| argument.get_id() == "path_prefix") {
                documented.extend(first_cells(&page, "### Which apps", "flag"));
            }
            accepted.sort();
            documented.sort();
            assert_eq!(documented, accepted, "{heading}");
        }
    }
}

#[test]
fn the_page_documents_every_command() {
    let page = page();
    let config = tools().into_iter().find(|tool| tool.get_name() == "passenger-config").unwrap();
    let commands = config.get_subcommands().map(Command::get_name).filter(|name| *name != "help");
    let mut accepted: Vec<_> = commands.map(|name| format!("`{name}`")).collect();
    let mut documented = first_cells(&page, "## passenger-config", "command");
    accepted.sort();
    documented.sort();
    assert_eq!(documented, accepted);
}

#[test]
fn the_page_documents_every_value_of_show_and_about() {
    let page = page();
    let tools = tools();
    let tool = |name: &str| tools.iter().find(|tool| tool.get_name() == name).unwrap();
    let about = tool("passenger-config").find_subcommand("about").unwrap();
    for (command, argument, heading, head) in [
        (tool("passenger-status"), "show", "## passenger-status", "`--show`"),
        (about, "fact", "### about", "fact"),
    ] {
        let argument = command.get_arguments().find(|each| each.get_id() == argument).unwrap();
        let values = argument.get_possible_values();
        let mut accepted: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let mut documented = first_cells(&page, heading, head);
        accepted.sort();
        documented.sort();
        assert_eq!(documented, accepted);
    }
}
