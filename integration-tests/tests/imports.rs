//! No file imports, directly or through others, one that imports it. A directory's `mod.rs` and the files beside it are
//! one module and may import each other; a re-export counts as an import of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use stage::workspace;

const ROOTS: [&str; 8] = [
    "protocol/src",
    "ngx-module/core/src",
    "ngx-module/src",
    "daemon/common/src",
    "daemon/supervisor/src",
    "daemon/router/src",
    "daemon/tools/src",
    "integration-tests/src",
];

/// A module's path, such as `router::pool`, with its file.
type Modules = BTreeMap<Vec<String>, PathBuf>;
/// Which files each file imports.
type Imports = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

#[test]
fn no_file_imports_one_that_imports_it() {
    for root in ROOTS {
        let imports = imports_of(&modules(&workspace().join(root)));
        assert!(imports.len() > 3, "{root} was not read");
        let circles = in_circles(imports);
        assert!(circles.is_empty(), "below {root} these files import each other: {circles:#?}");
    }
}

#[test]
fn a_circle_is_found() {
    let text = "use super::b::{C, d::E};\nfn f() { crate::g::h() }";
    let here = ["x".to_owned(), "a".to_owned()];
    assert_eq!(paths(text, &here), ["g h", "x b C", "x b d E"]);
    let [a, b, c] = ["a", "b", "c"].map(PathBuf::from);
    let imports = |pairs: &[(&PathBuf, &PathBuf)]| {
        let mut imports: Imports = [&a, &b, &c].map(|file| (file.clone(), BTreeSet::new())).into();
        for (from, to) in pairs {
            imports.get_mut(*from).unwrap().insert((*to).clone());
        }
        imports
    };
    assert!(in_circles(imports(&[(&a, &b), (&b, &c), (&a, &c)])).is_empty());
    assert_eq!(in_circles(imports(&[(&a, &b), (&b, &c), (&c, &b)])).len(), 2);
}

/// What is left when, again and again, files are taken away that import none of the others, or that none imports.
fn in_circles(mut imports: Imports) -> Imports {
    loop {
        let before = imports.len();
        let imported: BTreeSet<PathBuf> = imports.values().flatten().cloned().collect();
        imports.retain(|file, others| !others.is_empty() && imported.contains(file));
        let left: BTreeSet<PathBuf> = imports.keys().cloned().collect();
        imports.values_mut().for_each(|others| others.retain(|file| left.contains(file)));
        if imports.len() == before {
            return imports;
        }
    }
}

fn imports_of(modules: &Modules) -> Imports {
    let mut imports = Imports::new();
    for (here, file) in modules {
        let of_this = imports.entry(file.clone()).or_default();
        for path in paths(&code(file), here) {
            let path: Vec<String> = path.split(' ').map(str::to_owned).collect();
            let other = resolve(modules, &path);
            if other.is_some_and(|other| {
                other != file && !is_its_folder(file, other) && !is_its_folder(other, file)
            }) {
                of_this.extend(other.cloned());
            }
        }
    }
    imports
}

/// The file of the longest module that the path begins with; what a `mod.rs` only hands on is in the file that has it.
fn resolve<'m>(modules: &'m Modules, path: &[String]) -> Option<&'m PathBuf> {
    let depth = (0..=path.len()).rev().find(|depth| modules.contains_key(&path[..*depth]))?;
    let file = &modules[&path[..depth]];
    let handed_on = path.get(depth).and_then(|name| {
        let mut from_children = children_handing_on(file, &path[..depth]);
        from_children.find(|handed_on| handed_on.last() == Some(name))
    });
    match handed_on {
        Some(handed_on) if handed_on != path => resolve(modules, &handed_on),
        _ => Some(file),
    }
}

/// What a `mod.rs` has from the files beside it, by whole paths.
fn children_handing_on(file: &Path, module: &[String]) -> impl Iterator<Item = Vec<String>> {
    let text = if file.ends_with("mod.rs") { code(file) } else { String::new() };
    let uses: Vec<String> = text
        .split(';')
        .filter_map(|statement| statement.rsplit_once("use ").map(|(_, tree)| tree.trim().to_owned()))
        .filter(|tree| !["crate", "super", "std"].iter().any(|outside| tree.starts_with(outside)))
        .map(|tree| format!("self::{}", tree.trim_start_matches("self::")))
        .collect();
    let module = module.to_vec();
    let all: Vec<_> = uses.iter().flat_map(|tree| paths(tree, &module)).collect();
    all.into_iter().map(|path| path.split(' ').map(str::to_owned).collect())
}

/// Whether `face` is the `mod.rs` of the folder in which `file` lies.
fn is_its_folder(file: &Path, face: &Path) -> bool {
    face.ends_with("mod.rs") && face.parent() == file.parent()
}

/// Every path that begins with `crate`, `super` or `self`, as words from the crate's root on.
fn paths(text: &str, here: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '$') {
                tree(&text[at..], Vec::new(), &mut found);
            }
        }
    }
    let absolute = |words: Vec<String>| {
        let ups = words.iter().filter(|word| *word == "super").count();
        let base = if words[0] == "crate" { &[][..] } else { &here[..here.len().saturating_sub(ups)] };
        let rest = words.iter().filter(|word| !["crate", "super", "self"].contains(&word.as_str()));
        base.iter().chain(rest).cloned().collect::<Vec<_>>().join(" ")
    };
    found.into_iter().map(absolute).collect()
}

/// Reads `a::b::{c, d::e}`, and returns what follows it.
fn tree<'t>(text: &'t str, mut words: Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, mut rest) = text.split_at(end);
    if !word.is_empty() {
        words.push(word.to_owned());
    }
    if let Some(deeper) = rest.strip_prefix("::") {
        if let Some(list) = deeper.strip_prefix('{') {
            rest = list;
            while !rest.starts_with('}') && !rest.is_empty() {
                rest = tree(rest.trim_start(), words.clone(), found).trim_start();
                rest = rest.find([',', '}']).map_or("", |at| &rest[at..]);
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        return tree(deeper, words, found);
    }
    found.push(words);
    rest
}

fn modules(root: &Path) -> Modules {
    let mut modules = Modules::new();
    collect(root, &mut Vec::new(), &mut modules);
    modules
}

fn collect(folder: &Path, here: &mut Vec<String>, modules: &mut Modules) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
        if entry.is_dir() {
            here.push(name);
            collect(&entry, here, modules);
            here.pop();
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let is_face = name == "mod" || (here.is_empty() && name == "lib");
            let own = here.iter().cloned().chain((!is_face).then_some(name)).collect();
            modules.insert(own, entry);
        }
    }
}

/// The file without comments, and without its own tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}
