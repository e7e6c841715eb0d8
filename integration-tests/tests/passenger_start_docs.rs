//! docs/DEVELOPMENT.md: each example runs as the page shows it, and its commands and tables are those of the program.

use std::path::Path;

use test_support::{
    ORDINARY_USER, StartedApp, TestDir, eventually, is_root, node_modules, passenger, passenger_output,
    require_debian_package, workspace,
};

use crate::passenger_start::{of_ordinary_user, versioned};

fn page() -> String {
    std::fs::read_to_string(workspace().join("docs/DEVELOPMENT.md")).unwrap()
}

/// The first block of this language on the page.
fn block<'p>(page: &'p str, language: &str) -> &'p str {
    let block = page.split(&format!("```{language}\n")).nth(1).expect(language);
    block.split("```").next().unwrap()
}

#[test]
fn each_example_answers_after_the_command_of_the_page() {
    require_debian_package("python3-flask", "/usr/share/doc/python3-flask");
    let page = page();
    let command = block(&page, "sh").trim();
    assert_eq!(command, "passenger start");
    for (file, language, expected) in [
        ("app.py", "python", "Hello from Flask"),
        ("server.js", "js", "Hello from Express"),
        ("config.ru", "ruby", "Hello from Rack"),
    ] {
        assert!(page.contains(&format!("in `{file}`")), "the page names {file}");
        let test_dir = TestDir::new();
        let directory = test_dir.path("hello");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join(file), block(&page, language)).unwrap();
        if language == "js" {
            // In place of npm install express.
            node_modules(&directory);
        }
        give_to_ordinary_user(&directory);
        let started = StartedApp::start(&test_dir, &directory, &[]);
        assert_eq!(started.get("/").expect(200).text(), expected);
        eventually("the app is ready", || started.shown().contains(" is ready, after "));
        if language == "python" {
            let line =
                page.lines().find(|line| line.starts_with("passenger: /home/alice/hello is ")).unwrap();
            let line = line.trim_start_matches("passenger: /home/alice/hello");
            assert!(started.shown().contains(line), "{line} is not in {}", started.shown());
        }
    }
}

fn give_to_ordinary_user(directory: &Path) {
    if is_root() {
        let mut chown = std::process::Command::new("chown");
        assert!(chown.args(["-R", "-h", ORDINARY_USER]).arg(directory).status().unwrap().success());
    }
}

#[test]
fn every_command_of_the_page_is_accepted() {
    let page = page();
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let blog = of_ordinary_user(test_dir.app("blog").ruby("run ->(_) { [200, {}, ['blog']] }"));
    let commands = page.split("\n## Commands\n").nth(1).unwrap();
    let mut run = 0;
    for line in block(commands, "sh").lines().map(|line| line.split('#').next().unwrap()) {
        let blog = blog.dir().to_str().unwrap();
        let mut words: Vec<&str> = line.split_whitespace().skip(1).collect();
        words.iter_mut().filter(|word| **word == "/home/alice/blog").for_each(|word| *word = blog);
        // The ports may be used on this machine.
        words.iter_mut().filter(|word| **word == "4000").for_each(|word| *word = "0");
        if words[0] == "start" && !words.contains(&"--daemonize") {
            let port = ["--port", "0"];
            words.extend(port.into_iter().filter(|_| !line.contains("--port")));
            let mut started = StartedApp::of(&mut passenger(&test_dir, app.dir(), &words));
            let (status, shown) =
                passenger_output(&test_dir, app.dir(), &["stop", "--port", &started.port().to_string()]);
            assert_eq!(status, Some(0), "{line}: {shown}");
            started.wait();
        } else {
            if words[0] == "start" {
                words.extend(["--port", "0"]);
            }
            let (status, shown) = passenger_output(&test_dir, app.dir(), &words);
            // The last one lists all apps after the only one was stopped.
            let expected = if words.contains(&"--all") { Some(1) } else { Some(0) };
            assert_eq!(status, expected, "{line}: {shown}");
        }
        run += 1;
    }
    assert_eq!(run, 6);
}

#[test]
fn the_passengerfile_of_the_page_is_accepted() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    app.write("Passengerfile.json", block(&page(), "json"));
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    assert_eq!(started.get("/").expect(200).text(), "version 1");
    assert!(started.shown().contains("in the environment staging"), "{}", started.shown());
}

#[test]
fn the_version_of_the_page_is_the_printed_one() {
    let page = page();
    let shown = page.split("```\nPhusion Passenger").nth(1).unwrap().split("```").next().unwrap();
    let test_dir = TestDir::new();
    let (_, printed) = passenger_output(&test_dir, test_dir.dir(), &["--version"]);
    assert_eq!(printed, format!("Phusion Passenger{shown}"));
}
