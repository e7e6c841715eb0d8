//! A freshly installed Debian with systemd, the project's packages beside it and a way to the registries, which carries out
//! pages of the documentation.

use std::fs;
use std::process::{Child, Command};
use std::time::Instant;

use crate::debian::{clean_debian, debian_packages};
use crate::doc_page::{Step, is_printed};
use crate::registry_proxy::RegistryProxy;
use crate::root::skipped;
use crate::systemd::Systemd;
use crate::test_dir::TestDir;
use crate::wait::eventually_some;

/// Debian's installer makes a machine that knows its own name, and has `sudo` and `adduser`.
const PREPARE: &str = "echo \"127.0.0.1 localhost $(hostname)\" > /etc/hosts
printf 'APT::Get::Assume-Yes \"true\";\\nAPT::Install-Recommends \"false\";\\n' > /etc/apt/apt.conf.d/90test
echo 'Acquire::Languages \"none\";' >> /etc/apt/apt.conf.d/90test";

/// Requests one after another until the file `stop` exists; a line with the status for each.
const LOAD: &str = "until [ -e /run/stop ]; do curl -s -o /dev/null -w '%{http_code}\\n' URL; done";

/// A clean Debian with the packages in root's home directory.
pub struct CleanMachine {
    systemd: Systemd,
    node: u32,
    _proxy: RegistryProxy,
    _test_dir: TestDir,
}

impl CleanMachine {
    /// Boots one; reports why it cannot.
    pub fn boot(test: &str) -> Option<Self> {
        if Command::new("debootstrap").arg("--version").output().is_err() {
            skipped(test, "it takes debootstrap");
            return None;
        }
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
        if !systemd.run("apt-get update -q -o APT::Update::Error-Mode=any").status.success() {
            skipped(test, "it takes Debian's archive");
            return None;
        }
        let node = node_version().unwrap_or(0);
        if node > 0 {
            systemd.copy_programs(&["bin/node", "bin/npm", "bin/npx", "lib/node_modules/npm"]);
        }
        Some(Self { systemd, node, _proxy: proxy, _test_dir: test_dir })
    }

    /// The machine itself.
    pub fn systemd(&self) -> &Systemd {
        &self.systemd
    }

    /// The major version of its Node.js; 0 without one.
    pub fn node(&self) -> u32 {
        self.node
    }

    /// Carries out the steps of a page in a shell that begins in root's home directory.
    pub fn carry_out(&self, page: &str, steps: &[Step]) {
        let began = Instant::now();
        self.systemd.sh("echo /root > /run/directory");
        let url = steps.iter().find_map(Step::url);
        let mut printed = String::new();
        let mut is_deployed = false;
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::File { path, content } => self.systemd.write(path, content.as_bytes()),
                Step::Output(lines) => {
                    assert!(is_printed(lines, &printed), "{page}: {lines:?} is not in {printed}");
                }
                // A reload of nginx takes effect some milliseconds after the command.
                Step::Commands(script) if step.is_request() && !is_deployed => {
                    let expected = steps.get(number + 1);
                    printed = eventually_some(&format!("{page}: {expected:?} of {script}"), || {
                        let printed = self.type_in(script);
                        let Some(Step::Output(lines)) = expected else { return Some(printed) };
                        is_printed(lines, &printed).then_some(printed)
                    });
                }
                Step::Commands(script) if step.is_deployment() => {
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
        let visitors = self.visitors(url);
        let printed = self.type_in(script);
        self.are_all_served(page, visitors);
        printed
    }

    /// Begins to request something repeatedly; `url` is what curl is given.
    pub fn visitors(&self, url: &str) -> Child {
        self.systemd.sh("rm -f /run/stop");
        self.systemd.spawn(&LOAD.replace("URL", url))
    }

    /// Stops the visitors, of whom each has got a status 200.
    pub fn are_all_served(&self, during: &str, visitors: Child) {
        self.systemd.sh("touch /run/stop");
        let statuses = visitors.wait_with_output().unwrap().stdout;
        let statuses = String::from_utf8(statuses).unwrap();
        let failed: Vec<&str> = statuses.lines().filter(|status| *status != "200").collect();
        let all = statuses.lines().count();
        assert!(all > 3, "{during}: only {all} requests");
        let (first, failed) = (failed.first(), failed.len());
        assert_eq!(failed, 0, "{during}: {failed} of {all} requests failed, the first with {first:?}");
    }

    /// Ends the application of a page: the pool has room for six.
    pub fn remove_sites(&self) {
        let others = "find /etc/nginx/conf.d -name '*.conf' ! -name flying-passenger.conf -delete";
        self.systemd.sh(&format!("{others}; nginx -t 2>&1 && systemctl reload nginx"));
    }
}

/// The major version of this machine's Node.js.
fn node_version() -> Option<u32> {
    let output = Command::new("/usr/bin/node").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}
