//! docs/FEATURES.md names tests that there are, and leaves no feature of its groups out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use stage::workspace;

/// Groups with the number of their features.
const GROUPS: [(char, usize); 4] = [('B', 13), ('D', 18), ('E', 12), ('F', 12)];

#[test]
fn every_feature_has_its_row() {
    let page = page();
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
    let named: BTreeSet<String> =
        page().split('`').skip(1).step_by(2).filter(|code| code.contains("::")).map(str::to_owned).collect();
    assert!(named.len() > 60, "the page names its tests: {named:?}");
    let missing: Vec<&String> = named.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "docs/FEATURES.md names tests that are not there: {missing:?}");
}

fn page() -> String {
    fs::read_to_string(workspace().join("docs/FEATURES.md")).unwrap()
}

fn is_number(cell: &str) -> bool {
    let mut letters = cell.chars();
    letters.next().is_some_and(char::is_uppercase) && letters.as_str().parse::<u8>().is_ok()
}

/// `file::function`, in this crate.
fn exists(name: &str) -> bool {
    let (file, function) = name.split_once("::").unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(format!("{file}.rs"));
    fs::read_to_string(path).is_ok_and(|source| source.contains(&format!("fn {function}(")))
}
