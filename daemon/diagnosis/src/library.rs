//! Diagnoses of libraries and files that the app's code cannot load.

use std::path::Path;

use protocol::request::AppKind;

use super::failed_start::{between, word};
use super::{Code, Diagnosis, FailedStart};

/// Diagnoses a gem, module or package that is not installed, or a missing file.
pub(super) fn missing_library(start: &FailedStart) -> Option<Diagnosis> {
    let line = start.line_with(&["cannot load such file -- ", "No module named ", "Cannot find module "])?;
    let rest =
        line.split_once(" -- ").map(|(_, name)| name).or_else(|| Some(line.split_once(['\'', '"'])?.1))?;
    let name = rest.split(['\'', '"', ' ']).next().unwrap_or(rest);
    if name.starts_with(['/', '.']) {
        return Some(Diagnosis::new(
            Code::MissingFile,
            format!("a file of the app is missing: {name}"),
            "Check whether the last deployment is complete, and whether upper and lower case of the name match.",
        ));
    }
    let (what, remedy) = match start.kind {
        AppKind::Ruby => ("gem", format!("Install it: {}.", start.as_user("bundle install"))),
        AppKind::Python => ("Python module", python_remedy(start, name)),
        _ => {
            let install = start.as_user("npm install");
            (
                "package",
                format!("Install it: {install}. If package.json does not name it: {install} {}.", word(name)),
            )
        }
    };
    let remedy = format!("{remedy}{}", own_libraries(start));
    Some(Diagnosis::new(Code::MissingLibrary, format!("a {what} is missing: {name}"), remedy))
}

fn own_libraries(start: &FailedStart) -> String {
    match start.interpreter() {
        Some((directive, here)) if start.kind != AppKind::Python => {
            format!(" Use the interpreter of {directive}{here}: each interpreter has its own libraries.")
        }
        _ => String::new(),
    }
}

/// Returns how a module is installed. Debian's interpreter accepts modules from Debian only (PEP 668).
fn python_remedy(start: &FailedStart, module: &str) -> String {
    let package = &*word(module.split('.').next().unwrap_or(module));
    if let Some(used) = between(&start.summary, " (in the virtualenv ", ")") {
        let python = word(&format!("{used}/bin/python"));
        let install = start.as_user(&format!("{python} -m pip install {package}"));
        return format!("Install it in the virtualenv that the app uses: {install}.");
    }
    let beside = between(&start.summary, "; the virtualenv ", " is not used");
    let (_, here) = start.interpreter().unwrap_or_default();
    match beside.map(Path::new).or(start.virtualenv.as_deref()) {
        Some(virtualenv) => {
            let python = word(&virtualenv.join("bin/python").display().to_string());
            let install = start.as_user(&format!("{python} -m pip install {package}"));
            format!(
                "The virtualenv {} is beside the app and not used. Use it: passenger_python {python};{here}. If the \
                 module is missing there, too: {install}.",
                virtualenv.display(),
            )
        }
        None => format!(
            "Install it in a virtualenv: {} && {}venv/bin/pip install {package}, then passenger_python {}/venv/bin/python;{here}. \
             Debian has some modules as packages: apt install python3-{}.",
            start.as_user("python3 -m venv venv"),
            start.sudo(),
            word(&start.root.display().to_string()),
            package.to_ascii_lowercase().replace('_', "-")
        ),
    }
}

/// Diagnoses a Gemfile entry that Bundler does not find.
pub(super) fn missing_bundle(start: &FailedStart) -> Option<Diagnosis> {
    let line =
        start.line_with(&["Bundler::GemNotFound", "Bundler::GemfileNotFound", "Could not find gem"])?;
    let what = line.split_once("GemNotFound: ").map_or(line, |(_, what)| what).trim();
    Some(Diagnosis::new(
        Code::MissingGems,
        format!("gems of the Gemfile are missing: {what}"),
        format!(
            "Install them with the app's own Ruby (passenger_ruby{}): {}.",
            if start.in_doctor { ", here --ruby" } else { "" },
            start.as_user("bundle install")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::failed_start;
    use super::*;

    fn python(summary: &str) -> FailedStart {
        FailedStart { kind: AppKind::Python, in_doctor: false, ..failed_start(summary, "") }
    }

    #[test]
    fn a_virtualenv_beside_the_app_is_recommended() {
        let missing = "something the app needs is missing: No module named 'flask'";
        let remedy = |start: &FailedStart| missing_library(start).unwrap().remedy;
        let reported = format!("{missing}; the virtualenv /srv/shop/venv is not used");
        let found = FailedStart { virtualenv: Some("/srv/shop/venv".into()), ..python(missing) };
        for start in [python(&reported), found] {
            let remedy = remedy(&start);
            assert!(remedy.contains("Use it: passenger_python /srv/shop/venv/bin/python;."), "{remedy}");
        }
        let used = remedy(&python(&format!("{missing} (in the virtualenv /srv/shop/.venv)")));
        assert!(used.contains("/srv/shop/.venv/bin/python -m pip install flask."), "{used}");
    }

    #[test]
    fn nothing_is_installed_into_the_systems_python() {
        let start = python("something the app needs is missing: No module named 'foo_bar.baz'");
        let start = FailedStart { sudo: true, ..start };
        let remedy = missing_library(&start).unwrap().remedy;
        assert!(!remedy.contains("python3 -m pip"), "{remedy}");
        for part in [
            "cd /srv/shop && sudo -u alice -H python3 -m venv venv && sudo -u alice -H venv/bin/pip install foo_bar,",
            "passenger_python /srv/shop/venv/bin/python;",
            "apt install python3-foo-bar",
        ] {
            assert!(remedy.contains(part), "{part}: {remedy}");
        }
    }

    #[test]
    fn libraries_are_named_in_each_language() {
        for (kind, summary, problem) in [
            (
                AppKind::Ruby,
                "something the app needs is missing: cannot load such file -- sinatra",
                "a gem is missing: sinatra",
            ),
            (
                AppKind::Python,
                "something the app needs is missing: No module named 'flask'",
                "a Python module is missing: flask",
            ),
            (
                AppKind::Node,
                "something the app needs is missing: Cannot find module 'express'",
                "a package is missing: express",
            ),
            (
                AppKind::Node,
                "something the app needs is missing: Cannot find module './lib/x'",
                "a file of the app is missing: ./lib/x",
            ),
            (
                AppKind::Ruby,
                "something the app needs is missing: cannot load such file -- /srv/shop/x",
                "a file of the app is missing: /srv/shop/x",
            ),
        ] {
            let start = FailedStart { kind, ..failed_start(summary, "") };
            assert_eq!(missing_library(&start).unwrap().cause, problem);
        }
        // A program without our loader reports the failure in its output.
        let text = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'tornado'\n";
        let start = FailedStart {
            kind: AppKind::Python,
            ..failed_start("its process exited with status 1 before it was ready", text)
        };
        assert_eq!(missing_library(&start).unwrap().cause, "a Python module is missing: tornado");
    }

    #[test]
    fn gems_that_bundler_does_not_find_are_named() {
        let summary = "the app failed while it was loaded: Bundler::GemNotFound: Could not find gem 'x' in \
                       locally installed gems.";
        let diagnosis = missing_bundle(&failed_start(summary, "")).unwrap();
        assert_eq!(
            diagnosis.cause,
            "gems of the Gemfile are missing: Could not find gem 'x' in locally installed gems."
        );
    }
}
