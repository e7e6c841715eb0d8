//! Man pages and shell completions, as `make build` generates and `make install` installs them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::{TestDir, binary, skipped, workspace};

const PROGRAMS: [&str; 6] = [
    "flying-passenger",
    "flying-passenger-gate",
    "passenger",
    "passenger-status",
    "passenger-config",
    "passenger-memory-stats",
];

fn built() -> PathBuf {
    binary("flying-passenger").parent().unwrap().to_owned()
}

fn is_installed(program: &str, test: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    if !found.status.success() {
        skipped(
            test,
            &format!("{program} is not installed: integration-tests/frameworks/install.sh does it"),
        );
    }
    found.status.success()
}

/// What a command prints, on standard output and standard error; it must succeed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let printed =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} {}: {printed}", output.status);
    printed
}

fn pages() -> Vec<PathBuf> {
    let pages = std::fs::read_dir(built().join("man/man8")).expect("run `make build`");
    pages.map(|entry| entry.unwrap().path()).collect()
}

/// A page as a reader sees it, without line ends and justification.
fn read(name: &str) -> String {
    let mut man = Command::new("man");
    man.arg("-M").arg(built().join("man")).arg(name).env("MANWIDTH", "1000").env("LC_ALL", "C.UTF-8");
    printed(&mut man).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn help(program: &str, command: &[&str]) -> String {
    printed(Command::new(binary(program)).args(command).arg("--help"))
}

/// What `--help` begins lines with: the flags.
fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.filter_map(|line| line.split([' ', ',', '[']).find(|word| word.starts_with("--")));
    words.map(str::to_owned).collect()
}

/// The commands that `--help` lists.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let words = list.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("  "));
    let words = words.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    words.filter(|word| *word != "help").map(str::to_owned).collect()
}

#[test]
fn every_program_and_command_has_a_page_with_all_that_its_help_lists() {
    if !is_installed("man", "every_program_and_command_has_a_page_with_all_that_its_help_lists") {
        return;
    }
    let mut checked = 0;
    for program in PROGRAMS {
        let own = help(program, &[]);
        let commands = commands(&own);
        let names =
            commands.iter().map(|command| (format!("{program}-{command}"), help(program, &[command])));
        for (name, help) in names.chain([(program.to_owned(), own.clone())]) {
            let page = read(&name);
            for flag in flags(&help) {
                assert!(page.contains(&format!(" {flag}")), "{name}(8) does not document {flag}");
                checked += 1;
            }
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"] {
                assert!(page.contains(&format!(" {section} ")), "{name}(8) has no {section}");
            }
        }
        let page = read(program);
        for command in commands {
            assert!(
                page.contains(&format!("{program}-{command}(8)")),
                "{program}(8) does not document {command}"
            );
        }
    }
    assert!(checked > 60, "{checked} flags were found in the help of all programs");
}

#[test]
fn the_daemons_page_contains_the_documented_tables() {
    if !is_installed("man", "the_daemons_page_contains_the_documented_tables") {
        return;
    }
    let page = read("flying-passenger");
    for text in [
        "SIGNALS TERM, INT, QUIT requests finish",
        "USR1 the log file is reopened",
        "FILES /etc/flying-passenger/flying-passenger.toml",
        "ENVIRONMENT PASSENGER_INSTANCE_REGISTRY_DIR",
        "EXIT STATUS 0 it was stopped by a signal",
        "HOOKS",
    ] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    for (document, head) in [
        ("SIGNALS", "signal"),
        ("DAEMON", "status"),
        ("DAEMON", "file"),
        ("DAEMON", "variable"),
        ("DAEMON", "hook"),
    ] {
        let rows = documented(document, head);
        let missing: Vec<_> = rows.iter().filter(|row| !page.contains(*row)).collect();
        assert!(rows.len() > 2 && missing.is_empty(), "docs/{document}.md: {rows:?}, missing: {missing:?}");
    }
    for unit in ["flying-passenger.service", "flying-passenger.socket"] {
        let unit = std::fs::read_to_string(workspace().join("daemon/systemd").join(unit)).unwrap();
        assert!(unit.contains("Documentation=man:flying-passenger(8)"));
    }
}

/// The first cells of the table with this head on a page of `docs`, without markup.
fn documented(document: &str, head: &str) -> Vec<String> {
    let page = std::fs::read_to_string(workspace().join(format!("docs/{document}.md"))).unwrap();
    let table = page.split(&format!("\n| {head} |")).nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = table.lines().skip(2).map(|row| row.trim_start_matches("| ").split(" | ").next().unwrap());
    cells.map(|cell| cell.replace('`', "")).collect()
}

#[test]
fn every_page_passes_the_linters() {
    let has_man = is_installed("man", "every_page_passes_the_linters (man)");
    let has_mandoc = is_installed("mandoc", "every_page_passes_the_linters (mandoc)");
    for page in pages() {
        if has_man {
            let mut man = Command::new("man");
            man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(&page).stdout(std::process::Stdio::null());
            assert_eq!(printed(&mut man), "", "{}", page.display());
        }
        if has_mandoc {
            let output =
                Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page).output().unwrap();
            let reported = String::from_utf8_lossy(&output.stdout).into_owned();
            // A page has no date, so that the same source makes the same page.
            let reported: Vec<_> =
                reported.lines().filter(|line| !line.contains("cannot parse date")).collect();
            assert!(reported.is_empty(), "{reported:#?}");
        }
    }
}

#[test]
fn bash_completes_commands_and_flags() {
    let complete = |words: &[&str]| {
        let script =
            "source \"$1\"; shift; function=$(complete -p \"$1\" | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
            COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            \"$function\" \"$1\" \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "bash"]).arg(built().join("completions/bash").join(words[0]));
        let printed = printed(bash.args(words));
        let mut offered: Vec<_> = printed.lines().map(str::to_owned).collect();
        offered.sort();
        offered
    };
    let offered = complete(&["passenger-config", "re"]);
    assert!(offered.contains(&"restart-app".to_owned()) && offered.iter().all(|word| word.starts_with("re")));
    assert_eq!(complete(&["passenger-config", "reo"]), ["reopen-logs"]);
    assert_eq!(complete(&["passenger-config", "restart-app", "--ro"]), ["--rolling-restart"]);
    assert_eq!(complete(&["passenger-status", "--show", "j"]), ["json"]);
    assert_eq!(complete(&["flying-passenger", "--max-po"]), ["--max-pool-size"]);
    assert_eq!(complete(&["passenger-memory-stats", "--no-n"]), ["--no-nginx"]);
    assert_eq!(complete(&["passenger", "sta"]), ["start", "status"]);
    assert_eq!(complete(&["passenger", "start", "--daem"]), ["--daemonize"]);
}

#[test]
fn fish_completes_commands_and_flags() {
    if !is_installed("fish", "fish_completes_commands_and_flags") {
        return;
    }
    let complete = |line: &str| {
        let program = line.split(' ').next().unwrap();
        let file = built().join("completions/fish").join(format!("{program}.fish"));
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]).arg(file).arg(line);
        let offered = printed(&mut fish);
        offered.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(complete("passenger-config reo"), ["reopen-logs"]);
    assert_eq!(complete("passenger-status --show j"), ["json"]);
}

#[test]
fn zsh_accepts_its_completions() {
    if !is_installed("zsh", "zsh_accepts_its_completions") {
        return;
    }
    for program in PROGRAMS {
        let file = built().join("completions/zsh").join(format!("_{program}"));
        assert_eq!(printed(Command::new("zsh").args(["-f", "-n"]).arg(&file)), "");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(&format!("#compdef {program}\n")), "{}", file.display());
    }
}

#[test]
fn make_install_uses_the_standard_directories() {
    let test_dir = TestDir::new();
    let (root, prefix) = (test_dir.path("root"), "/usr");
    let mut make = Command::new("make");
    make.args(["-s", "install", &format!("PREFIX={prefix}")]).arg(format!("DESTDIR={}", root.display()));
    printed(make.current_dir(workspace()));
    let there = |path: &str| Path::new(&format!("{}{prefix}/{path}", root.display())).exists();
    for program in PROGRAMS {
        let place = if program.starts_with("flying-passenger") { "sbin" } else { "bin" };
        for path in [
            format!("{place}/{program}"),
            format!("share/man/man8/{program}.8"),
            format!("share/bash-completion/completions/{program}"),
            format!("share/zsh/vendor-completions/_{program}"),
            format!("share/fish/vendor_completions.d/{program}.fish"),
        ] {
            assert!(there(&path), "{path} is not installed");
        }
    }
    assert!(there("share/man/man8/passenger-config-restart-app.8"));
    assert!(!there("bin/flying-passenger-generate") && !there("sbin/flying-passenger-generate"));
}
