//! `passenger-config exec`: consoles on a terminal, and the login shell of the app's user.

use std::fs;
use std::process::Command;

use test_support::{Language, ONE_APP_CONF, OneApp, TestDir, is_root};

use crate::exec::{needs_root, printed, tool, words};

/// Types into a console on a new terminal, and prints what appears there.
const CONSOLE: &str = r#"
import os, pty, re, select, signal, sys, time

pid, terminal = pty.fork()
if pid == 0:
    # A test that runs in the background ignores it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""

def until(pattern):
    global seen
    end = time.monotonic() + 60
    while not re.search(pattern, seen):
        if time.monotonic() > end or not select.select([terminal], [], [], 60)[0]:
            sys.exit("%r is not in %r" % (pattern, seen))
        seen += os.read(terminal, 65536)
    seen = re.split(pattern, seen, maxsplit=1)[-1]

def type(text):
    os.write(terminal, text)

def program(pid):
    try:
        return open("/proc/%d/cmdline" % pid, "rb").read().split(b"\0")[0]
    except OSError:
        return b""

until(rb"[$#] ")
type(b"tty; echo term=$TERM fruit=$FRUIT\n")
until(rb"/dev/pts/\d+\r\n")
until(rb"term=vt100 fruit=pear\r\n")
shell = os.tcgetpgrp(terminal)
type(b"sleep 1000\n")
until(rb"sleep 1000\r\n")
while os.tcgetpgrp(terminal) == shell or program(os.tcgetpgrp(terminal)) != b"sleep":
    time.sleep(0.01)
type(b"\x03")
until(rb"[$#] ")
type(b"sleep 2000 &\n")
type(b"jobs; kill -9 %1; wait; echo after=$((1+1))\n")
until(rb"sleep 2000")
until(rb"after=2\r\n")
type(b"python3 -c 'import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b\"x\")'\n")
until(rb"%%REFUSAL%%")
type(b"exit 5\n")
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

#[test]
fn a_console_has_the_callers_terminal_with_job_control() {
    let setup = OneApp::app("passenger_env_var FRUIT pear;", |app| {
        let app = app.standard(Language::Python);
        if is_root() { app.owned_by("games") } else { app }
    });
    setup.nginx.get("/").expect(200);
    let dir = setup.app.dir().display().to_string();
    let tool = tool(&setup.daemon, &[]);
    let mut console = Command::new("python3");
    // Without root, only the kernel's own setting protects the terminal.
    let refusal = if is_root() { "PermissionError" } else { "Error|exit 5" };
    console
        .args(["-c", &CONSOLE.replace("%%REFUSAL%%", refusal)])
        .arg(tool.get_program())
        .args(["exec", &dir])
        .env("TERM", "vt100");
    let registry = setup.daemon.admin_socket().ancestors().nth(2).unwrap().to_path_buf();
    let output = console.env("PASSENGER_INSTANCE_REGISTRY_DIR", registry).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

#[test]
fn the_profile_of_the_users_shell_applies() {
    if needs_root("the_profile_of_the_users_shell_applies") {
        return;
    }
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Python);
    let home = test_dir.path("home");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join(".profile"), "export FRUIT=pear RAILS_ENV=wrong PATH=\"$HOME/bin:$PATH\"\ncd /\n")
        .unwrap();
    std::os::unix::fs::chown(app.dir(), Some(54321), Some(60)).unwrap();
    let account = format!("visitor:x:54321:60::{}:/bin/bash\n", home.display());
    let daemon = test_dir.daemon().with_accounts(&account).start();
    let lines = format!(
        "passenger_user visitor; passenger_python {}; passenger_env_var NASTY \"a'b $\";",
        "/usr/bin/python3"
    );
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &lines)).start();
    nginx.get("/").expect(200);
    let dir = app.dir().display().to_string();
    let command = words(&dir, &["sh", "-c", "echo \"$FRUIT|$RAILS_ENV|$PATH|$PWD|$NASTY|$(id -un)\""]);
    let tool = tool(&daemon, &command);
    // The daemon has its own /etc.
    let output = Command::new("nsenter")
        .args(["--mount", "--target", &daemon.pid().to_string(), "--"])
        .arg(tool.get_program())
        .args(tool.get_args())
        .env("PASSENGER_INSTANCE_REGISTRY_DIR", daemon.admin_socket().ancestors().nth(2).unwrap())
        .output();
    let path = format!("/usr/bin:{}/bin:", home.display());
    let printed = printed(output.unwrap());
    assert!(printed.starts_with(&format!("pear|production|{path}")), "{printed}");
    assert!(printed.ends_with(&format!("|{dir}|a'b $|visitor\n")), "{printed}");
}
