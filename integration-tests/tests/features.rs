//! docs/FEATURES.md, docs/SECURITY-MODEL.md and docs/BAD-NIGHTS.md name tests that there are, and the first leaves no
//! feature out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use stage::workspace;

/// Groups with the number of their features.
const GROUPS: [(char, usize); 7] =
    [('A', 30), ('B', 13), ('D', 18), ('E', 12), ('F', 12), ('G', 17), ('I', 35)];

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
    for (name, least) in [("FEATURES.md", 60), ("SECURITY-MODEL.md", 5), ("BAD-NIGHTS.md", 20)] {
        let page = page(name);
        let codes = page.split('`').skip(1).step_by(2);
        let named: BTreeSet<&str> = codes.filter(|code| code.contains("::")).collect();
        assert!(named.len() > least, "docs/{name} names its tests: {named:?}");
        let missing: Vec<&&str> = named.iter().filter(|name| !exists(name)).collect();
        assert!(missing.is_empty(), "docs/{name} names tests that are not there: {missing:?}");
    }
}

fn page(name: &str) -> String {
    fs::read_to_string(workspace().join("docs").join(name)).unwrap()
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
