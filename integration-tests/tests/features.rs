//! The tests that docs/FEATURES.md, docs/SECURITY-MODEL.md and docs/FAILURES.md name exist, and FEATURES.md is complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use test_support::{framework, workspace};

/// Groups with the number of their features.
const GROUPS: [(char, usize); 7] =
    [('A', 33), ('B', 16), ('D', 18), ('E', 12), ('F', 14), ('G', 21), ('I', 36)];

#[test]
fn every_feature_has_its_row() {
    let page = page("FEATURES.md");
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|row| is_number(row))
        .collect();
    let wanted: Vec<String> =
        GROUPS.iter().flat_map(|(group, most)| (1..=*most).map(move |n| format!("{group}{n}"))).collect();
    assert_eq!(rows, wanted);
}

#[test]
fn every_test_that_is_named_exists() {
    for (name, least) in [("FEATURES.md", 60), ("SECURITY-MODEL.md", 5), ("FAILURES.md", 20)] {
        let page = page(name);
        let codes = page.split('`').skip(1).step_by(2);
        let named: BTreeSet<&str> = codes.filter(|code| code.contains("::")).collect();
        assert!(named.len() > least, "docs/{name} names its tests: {named:?}");
        let missing: Vec<&&str> = named.iter().filter(|name| !exists(name)).collect();
        assert!(missing.is_empty(), "docs/{name} names tests that are not there: {missing:?}");
    }
}

/// Files of tests that are a gallery, each of whose tests has a row.
const GALLERY: [&str; 6] = [
    "gallery_node",
    "gallery_ruby",
    "gallery_python",
    "gallery_generic",
    "real_apps_rails",
    "real_apps_redmine",
];

#[test]
fn every_test_of_the_gallery_has_its_row() {
    let rows = gallery();
    let tests = GALLERY.iter().flat_map(|file| {
        let source = test_source(file).unwrap();
        let functions = source.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
        functions.map(|function| format!("`{file}::{function}`")).collect::<Vec<_>>()
    });
    let missing: Vec<String> = tests.filter(|test| !rows.iter().any(|row| row[3].contains(test))).collect();
    assert!(missing.is_empty(), "docs/FEATURES.md has no row for {missing:?}");
}

#[test]
fn the_gallery_has_the_versions_that_are_installed() {
    let pinned: String =
        ["package.json", "requirements.txt", "generic-requirements.txt"].map(frameworks_file).concat();
    let mut wrong = Vec::new();
    for row in gallery() {
        for pair in row[1].split(", ").filter(|pair| *pair != "Node.js's") {
            let (package, version) = pair.split_once(' ').expect("a package and its version");
            if !is_pinned(&pinned, package, version) && !is_debians(package, version) {
                wrong.push(pair.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "docs/FEATURES.md has other versions than are installed: {wrong:?}");
}

/// The cells of the gallery's rows: framework, version, what is exercised, test.
fn gallery() -> Vec<[String; 4]> {
    let page = page("FEATURES.md");
    let (_, gallery) = page.split_once("\n## Gallery\n").expect("docs/FEATURES.md has a gallery");
    let rows = gallery.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    let cells = |row: &str| row.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<[String; 4]> =
        rows.map(|row| cells(row).try_into().unwrap_or_else(|_| panic!("not four cells: {row}"))).collect();
    assert!(rows.len() > 35, "{} rows", rows.len());
    rows
}

/// In package.json, also below another name, or in a list of requirements.
fn is_pinned(pinned: &str, package: &str, version: &str) -> bool {
    let ways = [
        format!("\"{package}\": \"{version}\""),
        format!("\"npm:{package}@{version}\""),
        format!("\n{package}=={version}\n"),
    ];
    ways.iter().any(|way| pinned.contains(way))
}

/// A package of Debian: the version begins so, after the epoch. Redmine is unpacked only.
fn is_debians(package: &str, version: &str) -> bool {
    if package == "redmine" {
        let source = fs::read_to_string(framework("redmine").join("lib/redmine/version.rb")).unwrap();
        let part = |name: &str| {
            let line =
                source.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix('='));
            line.map(|value| value.trim().to_owned()).unwrap_or_default()
        };
        return version == ["MAJOR", "MINOR", "TINY"].map(part).join(".");
    }
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output().unwrap();
    let installed = String::from_utf8_lossy(&output.stdout).into_owned();
    let upstream = installed.split_once(':').map_or(installed.as_str(), |(_, rest)| rest);
    upstream.strip_prefix(version).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

fn frameworks_file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("frameworks").join(name)).unwrap()
}

fn page(name: &str) -> String {
    fs::read_to_string(workspace().join("docs").join(name)).unwrap()
}

fn is_number(cell: &str) -> bool {
    let mut letters = cell.chars();
    letters.next().is_some_and(char::is_uppercase) && letters.as_str().parse::<u8>().is_ok()
}

/// `file::function` in this crate, or `supervisor::name` of those before a scripted router.
fn exists(name: &str) -> bool {
    let (file, function) = name.split_once("::").unwrap();
    if file == "supervisor" {
        let sources = fs::read_dir(workspace().join("daemon/supervisor/tests/supervisor")).unwrap();
        let has = |source: String| source.contains(&format!("(\"{function}\", "));
        return sources.map(|source| fs::read_to_string(source.unwrap().path()).unwrap()).any(has);
    }
    test_source(file).is_some_and(|source| source.contains(&format!("fn {function}(")))
}

fn test_source(file: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(format!("{file}.rs"));
    fs::read_to_string(path).ok()
}
