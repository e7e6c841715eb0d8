//! Apps that cannot be started: the error page for clients, and the report for operators.

use test_support::{Language, OneApp, eventually, is_root};

const SECRET: &str = "passenger_env_var SECRET hunter2;";

/// Kinds of broken apps, each with a text that its whole story must hold.
fn broken() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    let python = "import module_that_is_not_there\n";
    vec![
        ("config.ru", "raise 'cannot load this'", "", "cannot load this"),
        ("config.ru", "puts 'last words'; exit! 7", "", "last words"),
        ("config.ru", "run ->(env) { [", "", "config.ru"),
        ("passenger_wsgi.py", python, "", "module_that_is_not_there"),
        ("passenger_wsgi.py", "x = 1\n", "", "application"),
        ("app.js", "require('module-that-is-not-there')", "", "module-that-is-not-there"),
        ("app.js", "console.error('last words'); process.exit(7)", "", "last words"),
        ("x", "", "passenger_app_start_command 'echo last words; exit 7';", "last words"),
        ("x", "", "passenger_app_start_command 'no-such-program $PORT';", "no-such-program"),
        ("x", "", "passenger_app_type ruby;", "config.ru"),
    ]
}

#[test]
fn in_production_the_client_gets_an_error_id_only() {
    for (file, source, lines, story) in broken() {
        let setup = OneApp::app(&format!("{lines} {SECRET}"), |app| app.file(file, source));
        let response = setup.nginx.get("/");
        let page = response.text();
        assert_eq!(response.status(), 500, "{page}");
        assert!(response.header("Content-Type").is_some_and(|value| value.starts_with("text/html")));
        for secret in [
            "hunter2",
            "last words",
            "cannot load this",
            "that_is_not_there",
            &setup.test_dir.dir().display().to_string(),
        ] {
            assert!(!page.contains(secret), "{secret} is not for visitors of {file} {lines}: {page}");
        }
        let id = error_id(&page);
        eventually(&format!("the log reports {story} with the error ID {id}"), || {
            let log = setup.daemon.log();
            log.contains(&id) && log.contains(story)
        });
    }
}

#[test]
fn in_development_the_client_gets_the_full_report() {
    for (file, source, lines, story) in broken() {
        let setup =
            OneApp::app(&format!("{lines} passenger_app_env development;"), |app| app.file(file, source));
        let response = setup.nginx.get("/");
        let page = response.text();
        assert_eq!(response.status(), 500, "{page}");
        let plain = page.replace("&#39;", "'").replace("&#x27;", "'").replace("&quot;", "\"");
        assert!(plain.contains(story), "{story} is missing in the page of {file} {lines}: {page}");
        let id = error_id(&page);
        assert!(setup.daemon.log().contains(&id), "the log has the same error ID {id}");
    }
}

#[test]
fn the_report_has_the_environment_without_its_secrets() {
    const LINES: &str = "passenger_app_env development; passenger_env_var GREETING hello;
        passenger_env_var API_TOKEN s3cret; passenger_env_var DATABASE_URL pg://me:s3cret@db/shop;";
    // Loaded by the process itself, by a preloader, and with no loader of ours at all.
    let apps = [
        ("config.ru", "raise 'broken'", "passenger_spawn_method direct;"),
        ("config.ru", "raise 'broken'", "passenger_spawn_method smart;"),
        ("serve.sh", "exit 3", "passenger_app_start_command 'sh serve.sh';"),
    ];
    for (file, source, lines) in apps {
        let setup = OneApp::app(&format!("{LINES} {lines}"), |app| app.file(file, source));
        let page = setup.nginx.get("/").text();
        let id = error_id(&page);
        let report = setup.daemon.tool("passenger-config", &["spawn-error", &id]);
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        for reported in [&page, &report] {
            for part in
                ["GREETING=hello", "API_TOKEN=[hidden]", "DATABASE_URL=pg://[hidden]@db/shop", "PATH=/"]
            {
                assert!(reported.contains(part), "{part} is missing for {lines} in {reported}");
            }
            assert!(!reported.contains("s3cret"), "{reported}");
        }
        assert!(report.contains("User        : "), "{report}");
        assert!(!setup.daemon.log().contains("s3cret"), "{}", setup.daemon.log());
    }
}

#[test]
fn the_report_shows_the_steps_of_the_start() {
    let never_well = "require('http').createServer((q, r) => { r.statusCode = 500; r.end(); }).listen();";
    let starts = [
        (
            "config.ru",
            "raise 'broken'",
            "passenger_spawn_method direct;",
            "prepare done, execute done, load failed",
        ),
        (
            "config.ru",
            "raise 'broken'",
            "passenger_spawn_method smart;",
            "prepare done, execute done, load failed",
        ),
        ("passenger_wsgi.py", "1 / 0", "", "prepare done, execute done, load failed"),
        ("app.js", "throw 'broken'", "", "prepare done, execute done, load failed"),
        (
            "config.ru",
            "PhusionPassenger.on_event(:starting_worker_process) { raise 'x' }\nrun ->(_) { [200, {}, []] }",
            "passenger_spawn_method smart;",
            "fork done, begin failed",
        ),
        (
            "config.ru",
            "",
            "passenger_ruby /nonexistent/ruby; passenger_spawn_method direct;",
            "prepare done, execute failed, load not begun",
        ),
        ("x", "", "passenger_app_start_command 'exit 3';", "prepare done, execute done, answer failed"),
        (
            "app.js",
            never_well,
            "passenger_app_ready_path /up; passenger_start_timeout 5;",
            "prepare done, execute done, load done, answer failed",
        ),
        (
            "config.ru",
            "",
            "passenger_app_root /nonexistent; passenger_app_type ruby; passenger_spawn_method direct;",
            "prepare failed, execute not begun, load not begun",
        ),
    ];
    for (file, source, lines, steps) in starts {
        let lines = format!("passenger_app_env development; {lines}");
        let setup = OneApp::app(&lines, |app| app.file(file, source));
        let page = setup.nginx.get("/").text();
        let report = setup.daemon.tool("passenger-config", &["spawn-error", &error_id(&page)]);
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        for step in steps.split(", ") {
            for reported in [&page, &report] {
                assert!(reported.contains(step), "{step} is missing for {lines} in {reported}");
            }
        }
        let log = setup.daemon.log();
        let line = log.lines().find(|line| line.contains("steps: ")).expect("the log lists the steps");
        let reported = line.split_once("steps: ").unwrap().1;
        // A message of several lines is one line of the log.
        let reported: Vec<_> = reported.split("\\n").next().unwrap().split(", ").collect();
        let reported =
            reported.iter().map(|leg| leg.split(" in ").next().unwrap().split(" after ").next().unwrap());
        assert_eq!(reported.collect::<Vec<_>>().join(", "), steps);
    }
}

#[test]
fn verbose_logs_have_the_steps_of_successful_starts() {
    for (language, preloader, process) in [
        (Language::Ruby, "prepare done, execute done, load done", "fork done, begin done"),
        (Language::Python, "", "prepare done, execute done, load done"),
        (Language::Node, "", "prepare done, execute done, load done"),
        (Language::Generic, "", "prepare done, execute done, answer done"),
    ] {
        let setup = OneApp::with(language, "", |daemon| daemon.flag("--log-level=info"));
        let pid = setup.app_pid();
        let log = setup.daemon.log();
        let steps = |who: &str| {
            let line = log.lines().find(|line| line.contains(&format!("{who} is ready; steps: ")));
            let reported =
                line.and_then(|line| line.split_once("steps: ")).map(|(_, reported)| reported.to_owned());
            let steps = reported.unwrap_or_default();
            steps.split(", ").map(|step| step.split(" in ").next().unwrap()).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(steps(&format!("process {pid}")), process, "{language:?}");
        let of_preloader = log.lines().find_map(|line| line.split_once("preloader ")?.1.split(' ').next());
        let pid = of_preloader.unwrap_or_default();
        assert_eq!(steps(&format!("preloader {pid}")), preloader, "{language:?}");
    }
}

#[test]
fn the_error_page_escapes_output_of_the_app() {
    let ruby = "raise '<script>alert(1)</script>'";
    let setup = OneApp::app("passenger_app_env development;", |app| app.ruby(ruby));
    let page = setup.nginx.get("/").text();
    assert!(!page.contains("<script>alert(1)"), "{page}");
}

#[test]
fn an_app_that_is_repaired_starts_at_the_next_request() {
    let setup = OneApp::app("", |app| app.ruby("raise 'broken'"));
    assert_eq!(setup.nginx.get("/").status(), 500);
    setup.app.write("config.ru", "run ->(env) { [200, {}, ['repaired']] }");
    assert_eq!(setup.nginx.get("/").expect(200).text(), "repaired");
}

/// Without a restart in between, nothing new can be said: one line, and the same report.
#[test]
fn a_start_that_fails_again_is_one_line_with_the_same_id() {
    let setup = OneApp::app("", |app| app.ruby("raise 'broken'"));
    let first = error_id(&setup.nginx.get("/").expect(500).text());
    for _ in 0..2 {
        assert_eq!(error_id(&setup.nginx.get("/").expect(500).text()), first);
    }
    setup.daemon.logs_eventually(&format!("fails again for the same reason (error ID {first})"));
    let log = setup.daemon.log();
    assert_eq!(log.matches("what to do: ").count(), 1, "{log}");
    // Another cause, and a new version, are reported in full.
    setup.app.write("config.ru", "raise 'otherwise'");
    let second = error_id(&setup.nginx.get("/").expect(500).text());
    assert_ne!(second, first);
    assert!(setup.daemon.tool("passenger-config", &["restart-app", "/"]).status.success());
    let third = error_id(&setup.nginx.get("/").expect(500).text());
    assert!(third != second && third != first);
    eventually("both reports are in the log", || setup.daemon.log().matches("what to do: ").count() == 3);
    for id in [first, second, third] {
        assert!(setup.daemon.tool("passenger-config", &["spawn-error", &id]).status.success());
    }
}

/// An app that had run is started again without a request: the log says when.
#[test]
fn a_new_version_that_does_not_start_is_retried_quietly() {
    let setup = OneApp::app("passenger_min_instances 1;", |app| app.ruby("run ->(_) { [200, {}, []] }"));
    setup.nginx.get("/").expect(200);
    setup.app.write("config.ru", "raise 'a bad deployment'");
    let restarted = setup.daemon.tool("passenger-config", &["restart-app", "--ignore-app-not-running", "/"]);
    assert!(restarted.status.success());
    let again = "fails again for the same reason (error ID ";
    eventually("it is tried a second time", || setup.daemon.log().contains(again));
    let log = setup.daemon.log();
    let line = log.lines().find(|line| line.contains(again)).unwrap();
    assert!(line.contains("), next try in ") && line.contains("a bad deployment"), "{line}");
    assert_eq!(log.matches("what to do: ").count(), 1, "{log}");
}

/// The loader reports the backtrace to the daemon; the app's file has it, too.
#[test]
fn the_apps_log_file_has_the_backtrace() {
    let lines = "passenger_app_log_file shop.log;";
    let setup = OneApp::app(lines, |app| {
        let app = app.ruby("raise 'broken'");
        if is_root() { app.owned_by("games") } else { app }
    });
    setup.nginx.get("/").expect(500);
    let file = setup.app.path("shop.log");
    eventually("the file has the backtrace", || {
        std::fs::read_to_string(&file).unwrap_or_default().contains("config.ru:1:in ")
    });
}

#[test]
fn nginxs_log_has_cause_and_remedy() {
    let setup = OneApp::app("", |app| app.ruby("require 'no_such_gem'"));
    let id = error_id(&setup.nginx.get("/").expect(500).text());
    let log = setup.nginx.error_log();
    let line = log.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("a gem is missing: no_such_gem. Install it: cd "), "{line}");
    assert!(line.contains(&format!("passenger-config spawn-error {id}")), "{line}");
    let report = setup.daemon.tool("passenger-config", &["spawn-error", &id]);
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    for part in ["\nCause       : a gem is missing: no_such_gem\n", "\nWhat to do  : Install it: cd "] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn a_start_fails_after_start_timeout() {
    for (file, source, lines) in [
        ("config.ru", "puts 'still thinking'; sleep", ""),
        ("passenger_wsgi.py", "import time\nprint('still thinking')\ntime.sleep(1000)\n", ""),
        ("app.js", "console.log('still thinking'); setInterval(() => {}, 1000)", ""),
        (
            "slow.sh",
            "#!/bin/sh
echo still thinking
exec sleep 1000
",
            "passenger_app_start_command ./slow.sh;",
        ),
    ] {
        let setup =
            OneApp::app(&format!("{lines} passenger_start_timeout 1s;"), |app| app.file(file, source));
        // A machine with much to do may not come as far as the app's own code in a second.
        eventually("the start was aborted while it was loading", || {
            let response = setup.nginx.get("/");
            assert_eq!(response.status(), 500, "{}", response.text());
            setup.daemon.log().contains("still thinking")
        });
        eventually("the process is gone", || {
            let daemon = setup.daemon.own_pids();
            let nginx: Vec<u32> = setup.nginx.workers().into_iter().chain([setup.nginx.master()]).collect();
            setup.test_dir.processes().iter().all(|pid| daemon.contains(pid) || nginx.contains(pid))
        });
    }
}

/// Eight hexadecimal digits that stand alone.
#[track_caller]
fn error_id(page: &str) -> String {
    let words = page.split(|each: char| !each.is_ascii_alphanumeric());
    let id =
        words.filter(|word| word.len() == 8).find(|word| word.chars().all(|each| each.is_ascii_hexdigit()));
    id.unwrap_or_else(|| panic!("no error ID in {page}")).to_owned()
}

#[test]
fn a_readable_custom_error_page_is_shown() {
    const PAGE: &str = "<h1>Back in a minute</h1>";
    let page = std::env::temp_dir().join(format!("flying-passenger-page.{}.html", std::process::id()));
    std::fs::write(&page, PAGE).unwrap();
    let line = format!("passenger_custom_error_page {};", page.display());
    let setup = OneApp::app(&line, |app| app.ruby("raise 'broken'"));
    let shown = setup.nginx.get("/");
    assert_eq!((shown.status(), shown.text().as_str()), (500, PAGE));
    std::fs::write(&page, vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(setup.nginx.get("/").text().contains("Error ID"));
    setup.daemon.logs_eventually(": it is longer than 1 MiB");
    std::fs::remove_file(&page).unwrap();
    assert!(setup.nginx.get("/").text().contains("Error ID"));
    setup.daemon.logs_eventually(": No such file");

    std::fs::write(&page, PAGE).unwrap();
    let lines = format!("{line} passenger_app_env development;");
    let developer = OneApp::app(&lines, |app| app.ruby("raise 'broken'"));
    assert!(developer.nginx.get("/").text().contains("broken"), "a developer wants to know");
    std::fs::remove_file(&page).unwrap();
}
