//! Headless Chromium over WebDriver: opens pages, runs JavaScript, takes screenshots.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::context::TestContext;
use crate::frameworks::require_debian_package;
use crate::http::{Connection, Request};
use crate::paths::workspace;
use crate::process::{in_group, kill_9, signal};
use crate::wait::eventually;

/// Flags that prevent requests to the network, and the use of what a container lacks.
const FLAGS: [&str; 15] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// One browser with one window.
pub struct Chromium {
    driver: Child,
    port: u16,
    session: String,
}

impl Chromium {
    pub(crate) fn start(test_dir: &Arc<TestContext>) -> Self {
        require_debian_package("chromium", "/usr/bin/chromium");
        require_debian_package("chromium-driver", "/usr/bin/chromedriver");
        let port = test_dir.port();
        let home = test_dir.dir.join(format!("chromium{port}"));
        fs::create_dir_all(&home).unwrap();
        let driver = driver(test_dir, port, &home);
        test_dir.add_group(driver.id());
        let mut chromium = Self { driver, port, session: String::new() };
        eventually("chromedriver answers", || Connection::try_to(port).is_ok());
        let profile = format!("--user-data-dir={}", home.join("profile").display());
        let args: Vec<&str> = FLAGS.into_iter().chain([profile.as_str()]).collect();
        let always = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let session = chromium.call("", &json!({ "capabilities": { "alwaysMatch": always } }));
        chromium.session = session["sessionId"].as_str().expect("a session has an ID").to_owned();
        chromium
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// The value that a function body in JavaScript returns.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The visible text of the first element of this selector; empty when it is hidden.
    pub fn text(&self, selector: &str) -> String {
        let script = format!(
            "const element = document.querySelector({selector:?}); return element?.checkVisibility() ? element.innerText : ''"
        );
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Sets the size of the window and the colour scheme, "light" or "dark".
    pub fn set_viewport(&self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Saves a screenshot of the whole page in `target/screenshots`.
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let dir = workspace().join("target/screenshots");
        fs::create_dir_all(&dir).unwrap();
        let shot = self.devtools("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        let file = dir.join(format!("{name}.png"));
        fs::write(&file, from_base64(shot["data"].as_str().expect("a photograph"))).unwrap();
        file
    }

    /// The errors in the browser's console since the last call.
    pub fn console_errors(&self) -> Vec<String> {
        let lines = self.command("se/log", &json!({ "type": "browser" }));
        let lines = lines.as_array().expect("a list of lines").iter();
        lines.filter(|line| line["level"] == "SEVERE").map(|line| line["message"].to_string()).collect()
    }

    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    fn command(&self, name: &str, body: &Value) -> Value {
        self.call(&format!("/{}/{name}", self.session), body)
    }

    fn call(&self, path: &str, body: &Value) -> Value {
        let request = Request::post(&format!("/session{path}"), body.to_string());
        let response = request.header("Content-Type", "application/json").send_to(self.port);
        let status = response.status();
        let mut answer = response.json();
        assert_eq!(status, 200, "chromium rejects a command ({path}): {answer}");
        answer["value"].take()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let group = self.driver.id();
        if !thread::panicking() {
            // This ends the browser's processes as well, which ending the driver does not always do.
            Request::new("DELETE", &format!("/session/{}", self.session)).send_to(self.port).expect(200);
            signal(group, Signal::SIGTERM);
        }
        eventually("chromedriver has ended", || {
            if thread::panicking() {
                in_group(group).into_iter().for_each(kill_9);
            }
            self.driver.try_wait().unwrap().is_some()
        });
    }
}

fn driver(test_dir: &TestContext, port: u16, home: &PathBuf) -> Child {
    let log = File::create(home.join("driver.log")).unwrap();
    let (name, value) = test_dir.mark();
    Command::new("/usr/bin/chromedriver")
        .arg(format!("--port={port}"))
        .env(name, value)
        // Neither may write to the home directory of the user who runs the test.
        .env("HOME", home)
        .env("TMPDIR", home)
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .current_dir(home)
        .process_group(0)
        .spawn()
        .expect("cannot start chromedriver")
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        (bits, count) = ((bits << 6 | digit as u32) & 0xffff, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
