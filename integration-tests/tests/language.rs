//! Checks the language of the tree: it has no words of an earlier private vocabulary, and test names are short.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use test_support::workspace;

/// Words that named parts of the program, and that no reader could guess.
const REFUSED: [&str; 9] =
    ["anew", "desk", "doors", "herald", "journey", "knock", "knocking", "luggage", "standing"];

/// One more character is too long for the name of a test.
const LONGEST_NAME: usize = 71;

#[test]
fn refused_words_do_not_occur() {
    let mut found = Vec::new();
    // This file contains the words that it refuses.
    for (file, text) in texts().into_iter().filter(|(file, _)| !file.ends_with("tests/language.rs")) {
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = refused_word(line) {
                found.push(format!("{file}:{}: {word}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "words of the earlier vocabulary: {found:#?}");
}

#[test]
fn names_of_tests_are_short() {
    let mut found = Vec::new();
    for (file, text) in texts().into_iter().filter(|(file, _)| file.ends_with(".rs")) {
        let long = test_names(&text).into_iter().filter(|name| name.len() > LONGEST_NAME);
        found.extend(long.map(|name| format!("{file}: {name}: {} characters", name.len())));
    }
    assert!(found.is_empty(), "names of more than {LONGEST_NAME} characters: {found:#?}");
}

#[test]
fn words_and_names_are_recognised() {
    for line in ["The Desk is", "let old_doors = 1;", "fn knock()", "struct HeraldTask;", "two standings"] {
        assert!(refused_word(line).is_some(), "{line}");
    }
    for line in ["a desktop", "outdoors", "outstanding orders", "knocked", "understanding"] {
        assert_eq!(refused_word(line), None, "{line}");
    }
    let text = "#[test]\n#[ignore = \"slow\"]\nfn one() {}\n\nfn helper() {}\n    #[tokio::test]\n    async fn two() {}\n\
                for_each_language! {\n    fn three(language) {\n    }\n\n    [ruby] fn four(language) {\n    }\n}\n";
    assert_eq!(test_names(text), BTreeSet::from(["one", "two", "three", "four"]));
}

/// Returns the first refused word of a line: singular or plural, in prose or as a part of an identifier.
fn refused_word(line: &str) -> Option<&'static str> {
    let words = line.split(|each: char| !each.is_alphabetic()).flat_map(parts_of_identifier);
    let refused = |word: String| REFUSED.into_iter().find(|each| word == *each || word == format!("{each}s"));
    words.map(|word| word.to_lowercase()).find_map(refused)
}

/// Splits `HeraldTask` into `Herald` and `Task`.
fn parts_of_identifier(word: &str) -> Vec<&str> {
    let starts = word.char_indices().skip(1).filter(|(_, each)| each.is_uppercase()).map(|(at, _)| at);
    let (mut parts, mut rest, mut from) = (Vec::new(), word, 0);
    for start in starts {
        let (part, after) = rest.split_at(start - from);
        parts.push(part);
        (rest, from) = (after, start);
    }
    parts.push(rest);
    parts
}

/// Returns the functions with a `test` attribute, and those in `for_each_language!`.
fn test_names(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let (mut follows_attribute, mut in_macro) = (false, false);
    for line in text.lines() {
        let code = line.trim_start();
        match line {
            "for_each_language! {" => in_macro = true,
            "}" => in_macro = false,
            _ => follows_attribute |= code.starts_with("#[test]") || code.starts_with("#[tokio::test"),
        }
        let is_macros = in_macro && line.len() == code.len() + 4;
        if let Some(name) = function(code).filter(|_| follows_attribute || is_macros) {
            names.insert(name);
        }
        follows_attribute &= code.starts_with("#[");
    }
    names
}

/// Returns the name of the function that begins in this line.
fn function(code: &str) -> Option<&str> {
    let (before, after) = code.split_once("fn ")?;
    let is_start = before.chars().all(|each| each.is_alphanumeric() || "[], ".contains(each));
    after.split_once('(').map(|(name, _)| name).filter(|_| is_start)
}

/// Returns every text file that git knows: its path, relative to the repository, and its contents.
fn texts() -> Vec<(String, String)> {
    let listed =
        Command::new("git").arg("ls-files").current_dir(workspace()).output().expect("git is installed");
    let names = String::from_utf8(listed.stdout).unwrap();
    let read = |name: &str| std::fs::read_to_string(Path::new(workspace()).join(name)).ok();
    let texts: Vec<_> = names.lines().filter_map(|name| Some((name.to_owned(), read(name)?))).collect();
    assert!(texts.len() > 100, "git lists the files");
    texts
}
