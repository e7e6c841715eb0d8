//! Checks of the source tree: the directories with `unsafe`, and how files begin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::workspace;

const UNSAFE_DIRECTORIES: [&str; 3] =
    ["ngx-module/src/ffi", "daemon/common/src/sys", "daemon/router/src/sys"];

#[test]
fn unsafe_stays_in_its_directories() {
    let outside = |path: &Path| !UNSAFE_DIRECTORIES.iter().any(|room| path.starts_with(room));
    refuse_lines("`unsafe` outside of its rooms", outside, |line| {
        let words = words(code(line));
        let uses = words
            .iter()
            .zip(words.iter().skip(1))
            .any(|(word, next)| *word == "unsafe" && ["fn", "impl", "extern", "trait", "{"].contains(next));
        uses || words.last() == Some(&"unsafe") || code(line).contains("#[unsafe(")
    });
}

#[test]
fn extern_c_stays_in_the_modules_ffi() {
    let outside = |path: &Path| !path.starts_with("ngx-module/src/ffi");
    refuse_lines("`extern \"C\"` outside of ngx-module/src/ffi", outside, |line| {
        line.split("//").next().is_some_and(|line| line.contains("extern \"C\""))
    });
}

#[test]
fn every_unsafe_block_has_a_safety_comment() {
    let mut missing = Vec::new();
    for path in sources("rs") {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let is_block = words(code(line))
                .windows(2)
                .any(|pair| pair == ["unsafe", "{"] || pair == ["unsafe", "impl"]);
            if is_block && !has_safety_comment(&lines[..=number]) {
                missing.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(missing.is_empty(), "no SAFETY comment above: {missing:#?}");
}

#[test]
fn every_source_file_starts_with_a_description() {
    let silent: Vec<PathBuf> =
        sources("rs").into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "these do not open with `//!`: {silent:#?}");
}

#[test]
fn crates_forbid_unsafe_code() {
    assert!(read(Path::new("protocol/src/lib.rs")).contains("#![forbid(unsafe_code)]"));
    let manifest = read(Path::new("Cargo.toml"));
    assert!(manifest.contains("unsafe_code = \"deny\""));
    assert!(manifest.contains("undocumented_unsafe_blocks = \"deny\""));
}

/// Whether a SAFETY comment is directly above, or inside the same statement.
fn has_safety_comment(lines_up_to_block: &[&str]) -> bool {
    const NEAR: usize = 12;
    lines_up_to_block.iter().rev().take(NEAR).any(|line| line.contains("SAFETY"))
}

fn refuse_lines(what: &str, concerned: impl Fn(&Path) -> bool, bad: impl Fn(&str) -> bool) {
    let mut found = Vec::new();
    for path in sources("rs").into_iter().filter(|path| concerned(path)) {
        // This file contains what it forbids.
        if path.ends_with("integration-tests/tests/tree.rs") {
            continue;
        }
        let text = read(&path);
        let lines = text.lines().enumerate().filter(|(_, line)| bad(line));
        found.extend(
            lines.map(|(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim())),
        );
    }
    assert!(found.is_empty(), "{what}: {found:#?}");
}

/// A line without its comment and quoted text.
fn code(line: &str) -> &str {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').next().unwrap_or_default()
}

fn words(line: &str) -> Vec<&str> {
    let spaced = line.split(|each: char| each.is_whitespace() || "(;,=".contains(each));
    spaced.filter(|word| !word.is_empty()).collect()
}

/// Files that git knows, by extension, relative to the workspace.
fn sources(extension: &str) -> Vec<PathBuf> {
    let output =
        Command::new("git").args(["ls-files", &format!("*.{extension}")]).current_dir(workspace()).output();
    let listed = String::from_utf8(output.expect("git is installed").stdout).unwrap();
    let paths: Vec<PathBuf> =
        listed.lines().map(PathBuf::from).filter(|path| workspace().join(path).exists()).collect();
    assert!(paths.len() > 10, "git lists the sources");
    paths
}

fn read(path: &Path) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
