//! Error pages in a real browser: they fit a phone and a desktop, light and dark, and nothing of them is cut.

use test_support::{OneApp, TestDir};

/// Fails with a long line, as backtraces have them.
const BROKEN: &str = "
    puts 'connecting to the database'
    require 'no_such_gem_' + 'with_a_long_name_' * 8
";

/// Checks a page in each size and colour scheme.
#[track_caller]
fn fits_everywhere(test_dir: &TestDir, port: u16, name: &str, shows: &[&str]) {
    let chromium = test_dir.chromium();
    for scheme in ["light", "dark"] {
        for width in [1280, 400] {
            chromium.set_viewport(width, 800, scheme);
            chromium.open(&format!("http://127.0.0.1:{port}/"));
            chromium.screenshot(&format!("error-{name}-{width}-{scheme}"));
            let overflow = chromium.run(
                "return [...document.querySelectorAll('body, main, section, pre, h1, code')]
                     .filter(each => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)
                     .map(each => each.tagName)",
            );
            assert_eq!(overflow, serde_json::json!([]), "{name} at {width}: cut");
            let dark = chromium.run("return getComputedStyle(document.body).backgroundColor");
            let ground = if scheme == "dark" { "rgb(14, 18, 23)" } else { "rgb(244, 246, 249)" };
            assert_eq!(dark, ground, "{name} in {scheme}");
            let text = chromium.text("main");
            for part in shows {
                assert!(text.contains(part), "{part} is not visible in {name}: {text}");
            }
        }
    }
    let errors = chromium.console_errors();
    // The console has a line for the status of the page itself, and one for the icon that the app does not have.
    let unexpected: Vec<_> =
        errors.iter().filter(|error| !error.contains("Failed to load resource")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn error_pages_fit_every_screen() {
    for (environment, name, shows) in [
        (
            "development",
            "report",
            &["What to do: ", "passenger-config doctor ", "connecting to the database"][..],
        ),
        ("production", "visitor", &["Error ID", "passenger-config spawn-error "]),
    ] {
        let setup = OneApp::app(&format!("passenger_app_env {environment};"), |app| app.ruby(BROKEN));
        fits_everywhere(&setup.test_dir, setup.nginx.port(), name, shows);
    }
}

#[test]
fn the_modules_pages_fit_every_screen() {
    for (environment, name, shows) in [
        ("development", "module-report", &["does not exist", "What to do: "][..]),
        ("production", "module-visitor", &["passenger-config validate-install"]),
    ] {
        let lines = format!("passenger_app_env {environment};");
        let mut setup = OneApp::app(&lines, |app| app.ruby("run ->(_) { [200, {}, []] }"));
        setup.test_dir.expect_log_line("connect() to unix:");
        assert!(setup.daemon.stop().success());
        fits_everywhere(&setup.test_dir, setup.nginx.port(), name, shows);
    }
}
