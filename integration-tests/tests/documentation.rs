//! The pages of the documentation: each is in the index, links lead somewhere, and what is typed exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::{binary, in_code, workspace};

/// Names in code that look like directives, of Capistrano, of a startup file, and in examples.
const NO_DIRECTIVES: [&str; 6] = [
    "passenger_interface",
    "passenger_restart_options",
    "passenger_restart_with_touch",
    "passenger_temp",
    "passenger_wsgi",
    "passenger_x",
];

/// Commands of Passenger that a page says do not exist here.
const NOT_HERE: [&str; 1] = ["passenger-config system-metrics"];

#[test]
fn the_index_lists_every_page() {
    let index = workspace().join("docs/README.md");
    let linked: BTreeSet<PathBuf> = links(&index).into_iter().map(|link| link.file).collect();
    let missing: Vec<PathBuf> =
        pages().into_iter().filter(|page| *page != index && !linked.contains(page)).collect();
    assert!(missing.is_empty(), "docs/README.md does not link to {missing:?}");
    let from_front: BTreeSet<PathBuf> =
        links(&workspace().join("README.md")).into_iter().map(|link| link.file).collect();
    assert!(from_front.contains(&index), "README.md links to docs/README.md");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut dead = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for link in links(&page) {
            checked += 1;
            let is_there = link.file.exists()
                && link.anchor.as_ref().is_none_or(|anchor| anchors(&link.file).contains(anchor));
            if !is_there {
                dead.push(format!("{}: {}", name(&page), link.text));
            }
        }
    }
    assert!(checked > 150, "{checked} links are found");
    assert!(dead.is_empty(), "links that lead nowhere: {dead:#?}");
}

#[test]
fn every_directive_that_is_named_exists() {
    let known: BTreeSet<String> = in_code().into_iter().collect();
    let mut unknown = Vec::new();
    for page in pages() {
        for code in codes(&fs::read_to_string(&page).unwrap()) {
            let names = directives_in(&code).into_iter();
            let is_known = |name: &String| known.contains(name) || NO_DIRECTIVES.contains(&name.as_str());
            unknown
                .extend(names.filter(|name| !is_known(name)).map(|each| format!("{}: {each}", name(&page))));
        }
    }
    assert!(unknown.is_empty(), "directives that do not exist: {unknown:#?}");
}

#[test]
fn every_command_and_flag_that_is_typed_exists() {
    let mut programs = Programs::default();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for code in codes(&fs::read_to_string(&page).unwrap()) {
            for line in code.replace("\\\n", " ").lines() {
                let Some(command) = typed(line) else { continue };
                checked += 1;
                if let Err(why) = programs.check(&command) {
                    wrong.push(format!("{}: {line}: {why}", name(&page)));
                }
            }
        }
    }
    assert!(checked > 100, "{checked} commands are found");
    assert!(wrong.is_empty(), "commands that do not exist: {wrong:#?}");
}

#[test]
fn commands_and_directives_are_recognised() {
    let words = |line| typed(line).map(|words: Vec<String>| words.join(" "));
    assert_eq!(
        words("sudo -u shop passenger-config doctor . --json # why").as_deref(),
        Some("passenger-config doctor . --json")
    );
    assert_eq!(words("systemctl restart flying-passenger"), None);
    assert_eq!(words("a && passenger-status | head").as_deref(), Some("passenger-status"));
    assert_eq!(
        directives_in("passenger_python $passenger_x passenger_wsgi.py flying_passenger_up;"),
        ["passenger_python"]
    );
    assert_eq!(slug("What `passenger_x` does, and why: 2"), "what-passenger_x-does-and-why-2");
    let mut programs = Programs::default();
    let mut check = |line: &str| programs.check(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert!(check("passenger-config restart-app /srv/shop --wait").is_ok());
    assert!(check("passenger-config restart-apps").is_err());
    assert!(check("passenger-config restart-app --quick").is_err());
    assert!(check("flying-passenger --no-such-flag=1").is_err());
}

/// A link to a file of the repository.
struct Link {
    text: String,
    file: PathBuf,
    anchor: Option<String>,
}

/// Every page: those of `docs`, and those at the top of the repository.
pub(crate) fn pages() -> Vec<PathBuf> {
    let mut pages = vec![];
    let mut directories = vec![workspace().join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.extend(["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(|name| workspace().join(name)));
    pages.sort();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

fn name(page: &Path) -> String {
    page.strip_prefix(workspace()).unwrap().display().to_string()
}

/// The links of a page to files, without those to other sites.
fn links(page: &Path) -> Vec<Link> {
    let text = without_blocks(&fs::read_to_string(page).unwrap());
    // A heading's name may contain code, an address does not.
    let text: String = text.split('`').step_by(2).collect();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    let link = |target: &str| {
        let (path, anchor) =
            target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
        let directory = page.parent().unwrap();
        let file = if path.is_empty() { page.to_owned() } else { normal(&directory.join(path)) };
        Link { text: target.to_owned(), file, anchor: anchor.map(str::to_owned) }
    };
    inside.map(link).collect()
}

/// Resolves `..` without a look at the disk.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

fn without_blocks(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The anchors that GitHub gives the headings of a page.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = without_blocks(&fs::read_to_string(page).unwrap_or_default());
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|each| each.is_alphanumeric() || "-_".contains(*each)).collect()
}

/// What a page shows as code: its blocks, and what is between backquotes.
fn codes(text: &str) -> Vec<String> {
    let mut codes: Vec<String> = text.split("```").skip(1).step_by(2).map(str::to_owned).collect();
    codes.extend(without_blocks(text).split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")));
    codes
}

/// The directives of the module in a piece of code; variables, files and metrics have similar names.
fn directives_in(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_part = |each: char| each.is_ascii_alphanumeric() || "_-$/.".contains(each);
    for (at, _) in code.match_indices("passenger_") {
        let begins = code[..at].chars().next_back().is_none_or(|before| !is_part(before));
        let rest = &code[at..];
        let end = rest.find(|each: char| !each.is_ascii_lowercase() && each != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let is_file = after.starts_with(['.', '(', '*', '-', '…', '/', '<']) && !after.starts_with(". ");
        let is_test = after.starts_with("::");
        if begins && !is_file && !is_test && name.len() > "passenger_".len() {
            found.push(name.to_owned());
        }
    }
    found
}

/// The project's programs.
const PROGRAMS: [&str; 6] = [
    "flying-passenger",
    "flying-passenger-gate",
    "passenger",
    "passenger-config",
    "passenger-status",
    "passenger-memory-stats",
];

/// Words after which a command begins.
const BEFORE_COMMANDS: [&str; 10] = ["sudo", "exec", "if", "!", "then", "do", "&&", "||", "|", ";"];

/// The words of a command of the project in a line, from its name to the end of the command.
fn typed(line: &str) -> Option<Vec<String>> {
    let line = without_quoted(line);
    let mut words = line.split_whitespace();
    let mut begins = true;
    let program = loop {
        let word = words.next()?;
        let file = word.trim_start_matches(['(', '$', '"']).trim_end_matches(';');
        let file = file.strip_prefix("/usr/sbin/").or_else(|| file.strip_prefix("/usr/bin/")).unwrap_or(file);
        match word {
            "-u" if begins => drop(words.next()),
            _ if begins && PROGRAMS.contains(&file) => break file,
            _ => {
                let is_flag_of_sudo = begins && word.starts_with('-');
                begins = is_flag_of_sudo || BEFORE_COMMANDS.contains(&word) || word.ends_with(';');
            }
        }
    };
    let ends = |word: &&str| BEFORE_COMMANDS.contains(word) || matches!(*word, "#" | "2>&1" | ")" | "--");
    let rest = words.take_while(|word| !ends(word)).map(|word| word.trim_end_matches([';', ',', ')', '"']));
    Some(std::iter::once(program).chain(rest).map(str::to_owned).collect())
}

/// A line of a shell without what is between single quotes.
fn without_quoted(line: &str) -> String {
    line.split('\'').step_by(2).collect::<Vec<_>>().join("quoted")
}

/// What the programs' own help lists.
#[derive(Default)]
struct Programs {
    help: BTreeMap<String, String>,
}

impl Programs {
    /// Checks a subcommand and flags.
    fn check(&mut self, command: &[String]) -> Result<(), String> {
        let program = &command[0];
        let own = self.help(program, None)?;
        let both = command.get(..2).map(|words| words.join(" ")).unwrap_or_default();
        if NOT_HERE.contains(&both.as_str()) {
            return Ok(());
        }
        let subcommand =
            command.get(1).filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
        let has_commands = own.contains("\nCommands:\n");
        let help = match subcommand {
            Some(word) if has_commands => self.help(program, Some(word))?,
            _ => own,
        };
        for flag in command.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split(['=', '[']).next().unwrap_or_default();
            let is_listed = help.split([' ', ',', '=', '[', '\n']).any(|word| word == flag);
            if !is_listed && !["--help", "--version"].contains(&flag) {
                return Err(format!("it has no {flag}"));
            }
        }
        Ok(())
    }

    fn help(&mut self, program: &str, command: Option<&str>) -> Result<String, String> {
        let key = format!("{program} {}", command.unwrap_or_default());
        if let Some(help) = self.help.get(&key) {
            return Ok(help.clone());
        }
        let mut words: Vec<&str> = command.into_iter().collect();
        words.push("--help");
        let output = Command::new(binary(program)).args(&words).output().map_err(|why| why.to_string())?;
        if !output.status.success() {
            return Err(format!("{key} --help fails"));
        }
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        self.help.insert(key, help.clone());
        Ok(help)
    }
}
