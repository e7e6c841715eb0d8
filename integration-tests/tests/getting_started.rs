//! The pages of docs/getting-started, carried out as they are written: in a clean Debian with systemd and the packages, up
//! to the first page and one rolling deployment.
//!
//! What a page cannot contain comes from outside: the machine has no network but a proxy to the registries, apt asks no
//! questions, and Node.js, which a page takes as given, is copied from this machine.

use std::fs;

use test_support::{CleanMachine, Step, is_printed, skipped, steps, workspace};

use crate::systemd::can_boot;

/// The pages, those that need the least first.
const PAGES: [&str; 8] = ["sinatra", "flask", "express", "fastapi", "django", "go", "rails", "nextjs"];

#[test]
fn every_page_is_carried_out_as_it_is_written() {
    let test = "every_page_is_carried_out_as_it_is_written";
    if !can_boot(test) {
        return;
    }
    let Some(machine) = CleanMachine::boot(test) else { return };
    machine.carry_out("README", &steps(&text("README")));
    let only = std::env::var("GETTING_STARTED").ok();
    let is_wanted = |page: &str| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == page));
    for page in PAGES.into_iter().filter(|page| is_wanted(page)) {
        let node_needed = match page {
            "express" => 18,
            "nextjs" => 20,
            _ => 0,
        };
        if machine.node() < node_needed {
            skipped(test, &format!("{page} takes Node.js {node_needed} in /usr/bin"));
            continue;
        }
        machine.carry_out(page, &steps(&text(page)));
        machine.remove_sites();
    }
}

#[test]
fn every_page_is_tested_and_has_a_deployment() {
    let mut pages: Vec<String> = fs::read_dir(workspace().join("docs/getting-started"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".md", ""))
        .filter(|name| name != "README")
        .collect();
    pages.sort();
    let mut tested = PAGES;
    tested.sort_unstable();
    assert_eq!(pages, tested);
    for page in pages {
        let steps = steps(&text(&page));
        let deployments = steps.iter().filter(|step| step.is_deployment()).count();
        let requests =
            steps.windows(2).filter(|pair| pair[0].is_request() && matches!(pair[1], Step::Output(_)));
        assert_eq!((deployments, requests.count().min(2)), (1, 2), "{page}: {steps:#?}");
    }
}

#[test]
fn steps_of_a_page_are_recognised() {
    let page = "# Title\n\n```sh\nls\npwd\n```\n\n```text\n/srv\n```\n\nNow write `/srv/app.py`:\n\n```python\n\nx\n```\n";
    let file = Step::File { path: "/srv/app.py".to_owned(), content: "\nx\n".to_owned() };
    let output = Step::Output(vec!["/srv".to_owned()]);
    assert_eq!(steps(page), [Step::Commands("ls\npwd\n".to_owned()), output, file]);
    assert!(is_printed(&["b".to_owned(), "d".to_owned()], "a\nabc\nd\n"));
    assert!(!is_printed(&["d".to_owned(), "b".to_owned()], "a\nabc\nd\n"));
}

fn text(page: &str) -> String {
    fs::read_to_string(workspace().join(format!("docs/getting-started/{page}.md"))).unwrap()
}
