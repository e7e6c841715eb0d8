//! The pages of docs/getting-started, carried out as they are written: in a clean Debian with systemd and the packages, up
//! to the first page and one rolling deployment.
//!
//! What a page cannot contain comes from outside: the machine has no network but a proxy to the registries, apt asks no
//! questions, and Node.js, which a page takes as given, is copied from this machine.

use std::fs;
use std::process::Command;

use test_support::{
    RegistryProxy, Step, Systemd, TestDir, clean_debian, debian_packages, eventually_some, is_printed,
    skipped, steps, workspace,
};

use crate::systemd::can_boot;

/// The pages, those that need the least first.
const PAGES: [&str; 8] = ["sinatra", "flask", "express", "fastapi", "django", "go", "rails", "nextjs"];

/// Debian's installer makes a machine that knows its own name, and has `sudo` and `adduser`.
const PREPARE: &str = "echo \"127.0.0.1 localhost $(hostname)\" > /etc/hosts
printf 'APT::Get::Assume-Yes \"true\";\\nAPT::Install-Recommends \"false\";\\n' > /etc/apt/apt.conf.d/90test
echo 'Acquire::Languages \"none\";' >> /etc/apt/apt.conf.d/90test";

/// Requests one after another until the file `stop` exists; a line with the status for each.
const LOAD: &str = "until [ -e /run/stop ]; do curl -s -o /dev/null -w '%{http_code}\\n' URL; done";

#[test]
fn every_page_is_carried_out_as_it_is_written() {
    let test = "every_page_is_carried_out_as_it_is_written";
    if !can_boot(test) {
        return;
    }
    if Command::new("debootstrap").arg("--version").output().is_err() {
        return skipped(test, "it takes debootstrap");
    }
    let machine = Machine::boot();
    machine.carry_out("README");
    let only = std::env::var("GETTING_STARTED").ok();
    let is_wanted = |page: &str| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == page));
    for page in PAGES.into_iter().filter(|page| is_wanted(page)) {
        let node_needed = match page {
            "express" => 18,
            "nextjs" => 20,
            _ => 0,
        };
        if machine.node < node_needed {
            skipped(test, &format!("{page} takes Node.js {node_needed} in /usr/bin"));
            continue;
        }
        machine.carry_out(page);
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
        let deployments = steps.iter().filter(|step| is_deployment(step)).count();
        let requests =
            steps.windows(2).filter(|pair| is_request(&pair[0]) && matches!(pair[1], Step::Output(_)));
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

/// A clean Debian with the packages in root's home directory.
struct Machine {
    systemd: Systemd,
    /// The major version of its Node.js; 0 without one.
    node: u32,
    _proxy: RegistryProxy,
    _test_dir: TestDir,
}

impl Machine {
    fn boot() -> Self {
        let root = clean_debian().unwrap_or_else(|why| panic!("there is no clean Debian: {why}"));
        let test_dir = TestDir::new();
        let packages = debian_packages(&test_dir.scratch("deb"));
        let systemd = Systemd::boot_from(&root);
        for package in packages {
            let name = package.file_name().unwrap().to_str().unwrap();
            systemd.write(&format!("/root/{name}"), &fs::read(&package).unwrap());
        }
        systemd.sh(PREPARE);
        let proxy = RegistryProxy::start(&systemd);
        let node = node_version().unwrap_or(0);
        if node > 0 {
            systemd.copy_programs(&["bin/node", "bin/npm", "bin/npx", "lib/node_modules/npm"]);
        }
        Self { systemd, node, _proxy: proxy, _test_dir: test_dir }
    }

    /// Carries out a page in a shell that begins in root's home directory.
    fn carry_out(&self, page: &str) {
        let began = std::time::Instant::now();
        self.systemd.sh("echo /root > /run/directory");
        let steps = steps(&text(page));
        let url = steps.iter().find_map(url);
        let mut printed = String::new();
        let mut is_deployed = false;
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::File { path, content } => self.systemd.write(path, content.as_bytes()),
                Step::Output(lines) => {
                    assert!(is_printed(lines, &printed), "{page}: {lines:?} is not in {printed}");
                }
                // A reload of nginx takes effect some milliseconds after the command.
                Step::Commands(script) if is_request(step) && !is_deployed => {
                    let expected = steps.get(number + 1);
                    printed = eventually_some(&format!("{page}: {expected:?} of {script}"), || {
                        let printed = self.type_in(script);
                        let Some(Step::Output(lines)) = expected else { return Some(printed) };
                        is_printed(lines, &printed).then_some(printed)
                    });
                }
                Step::Commands(script) if is_deployment(step) => {
                    printed = self.deploy(page, script, url.as_deref().expect("a request comes before"));
                    is_deployed = true;
                }
                Step::Commands(script) => printed = self.type_in(script),
            }
        }
        println!("{page}: {:.0?}", began.elapsed());
    }

    /// Runs commands where the ones before have left the shell; they must succeed.
    fn type_in(&self, script: &str) -> String {
        let environment = RegistryProxy::environment();
        let directory = "cd \"$(cat /run/directory)\"";
        self.systemd.sh(&format!("{environment}{directory}\n{{\n{script}\n}} 2>&1\npwd > /run/directory"))
    }

    /// Runs the commands of a deployment while visitors come; each of them is served.
    fn deploy(&self, page: &str, script: &str, url: &str) -> String {
        self.systemd.sh("rm -f /run/stop");
        let visitors = self.systemd.spawn(&LOAD.replace("URL", url));
        let printed = self.type_in(script);
        self.systemd.sh("touch /run/stop");
        let statuses = visitors.wait_with_output().unwrap().stdout;
        let statuses = String::from_utf8(statuses).unwrap();
        let failed: Vec<&str> = statuses.lines().filter(|status| *status != "200").collect();
        assert!(statuses.lines().count() > 3 && failed.is_empty(), "{page}: visitors got {statuses}");
        printed
    }

    /// Ends the application of a page: the pool has room for six.
    fn remove_sites(&self) {
        let others = "find /etc/nginx/conf.d -name '*.conf' ! -name flying-passenger.conf -delete";
        self.systemd.sh(&format!("{others}; nginx -t 2>&1 && systemctl reload nginx"));
    }
}

fn text(page: &str) -> String {
    fs::read_to_string(workspace().join(format!("docs/getting-started/{page}.md"))).unwrap()
}

/// The major version of this machine's Node.js.
fn node_version() -> Option<u32> {
    let output = Command::new("/usr/bin/node").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn is_request(step: &Step) -> bool {
    matches!(step, Step::Commands(script) if script.starts_with("curl "))
}

fn is_deployment(step: &Step) -> bool {
    matches!(step, Step::Commands(script) if script.contains("--rolling-restart"))
}

/// What the first request of a page passes to curl.
fn url(step: &Step) -> Option<String> {
    let Step::Commands(script) = step else { return None };
    script.lines().find_map(|line| line.strip_prefix("curl ")).map(str::to_owned)
}
