//! The supervisor with real processes and a scripted router.
//!
//! The supervisor executes its own program as the router. Here that program is this test: as `router` it passes orders
//! and notices between the link and the test, as `supervisor` it is the daemon, otherwise it runs the tests. Tests that
//! need root are skipped without it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping")]

mod daemon;
mod descriptors;
mod environment;
mod loaders;
mod log_lines;
mod orders;
mod ports;
mod preloaders;
mod preloaders_hostile;
mod routers;
mod scripted_router;
mod shutdown;
mod spawning;
mod users;
mod withheld;

use std::process::ExitCode;

use clap::Parser;
use common::config::{Arguments, Options};
use common::log::{self, Part};

use nix::unistd;

/// A test: its name, whether it needs root, what it does.
struct Test {
    name: &'static str,
    needs_root: bool,
    run: fn(),
}

const fn test(name: &'static str, run: fn()) -> Test {
    Test { name, needs_root: false, run }
}

const fn as_root(name: &'static str, run: fn()) -> Test {
    Test { name, needs_root: true, run }
}

fn tests() -> Vec<Test> {
    [
        spawning::TESTS,
        environment::TESTS,
        users::TESTS,
        withheld::TESTS,
        orders::TESTS,
        log_lines::TESTS,
        ports::TESTS,
        routers::TESTS,
        shutdown::TESTS,
        descriptors::TESTS,
        loaders::TESTS,
        preloaders::TESTS,
        preloaders_hostile::TESTS,
    ]
    .into_iter()
    .flatten()
    .map(|test| Test { ..*test })
    .collect()
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(supervisor::ROUTER_ARGUMENT) => scripted_router::main(),
        Some("supervisor") => supervisor_main(),
        Some("placing") => descriptors::place(),
        _ => run_tests(),
    }
}

fn supervisor_main() -> ExitCode {
    let arguments = Arguments::parse_from(std::env::args().skip(1));
    let options = Options::new(&arguments, unistd::geteuid()).expect("the test's options are good");
    log::init(options.log_level, options.log_format, Part::Supervisor);
    supervisor::run(options, None)
}

fn run_tests() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |test: &Test| words.is_empty() || words.iter().any(|word| test.name.contains(word.as_str()));
    let (mut failed, mut passed, mut skipped) = (Vec::new(), 0, 0);
    for test in tests().iter().filter(|test| wanted(test)) {
        if test.needs_root && !unistd::geteuid().is_root() {
            println!("test {} ... left out: needs root", test.name);
            skipped += 1;
            continue;
        }
        let is_ok = std::panic::catch_unwind(test.run).is_ok();
        println!("test {} ... {}", test.name, if is_ok { "ok" } else { "FAILED" });
        if is_ok {
            passed += 1;
        } else {
            failed.push(test.name);
        }
    }
    if !failed.is_empty() {
        println!("failed: {failed:?}");
    }
    println!("{passed} passed, {} failed, {skipped} skipped", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
