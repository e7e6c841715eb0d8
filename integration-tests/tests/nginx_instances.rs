//! Several nginx instances that share a daemon are distinguished, also in containers with equal paths and PIDs.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use test_support::{
    Connection, FakeDaemon, Language, Nginx, ONE_APP_CONF, Request, TestDir, descendants, eventually,
    is_root, kill_9, nginx_binary, signal, skipped, stays,
};

const CONTAINED: &str = r#"
    %%GLOBALS%%
    daemon off;
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        server { listen 127.0.0.1:%%PORT%% default_server; return 404; }
        %%SERVERS%%
    }
"#;

fn conf(apps: &[&str]) -> String {
    let server = |app: &&str| {
        format!(
            "server {{ listen 127.0.0.1:%%PORT%%; server_name {app}.example; root %%DIR%%/{app}/public;
                       passenger_enabled on; }}"
        )
    };
    CONTAINED.replace("%%SERVERS%%", &apps.iter().map(server).collect::<String>())
}

/// An nginx that is process 1 of its namespace and reads `etc/nginx.conf`, as every other one.
struct Contained {
    nginx: Nginx,
    process: Child,
}

impl Contained {
    fn start(test_dir: &TestDir, apps: &[&str]) -> Self {
        let nginx = test_dir.nginx(&conf(apps));
        let prefix = test_dir.path(&format!("nginx{}", nginx.port()));
        let etc = test_dir.path("etc");
        std::fs::create_dir_all(&etc).unwrap();
        let script = r#"mount --bind "$1" "$2" && exec "$0" -p "$1" -c "$2/nginx.conf" -e "$1/error.log""#;
        let process = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c", script])
            .args([nginx_binary(), prefix, etc])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let contained = Self { nginx, process };
        eventually("it listens", || Connection::try_to(contained.nginx.port()).is_ok());
        contained
    }

    fn reconfigure(&self, apps: &[&str]) {
        self.nginx.configure(&conf(apps));
        let before = self.workers();
        signal(self.master(), Signal::SIGHUP);
        eventually("it has changed its workers", || {
            let now = self.workers();
            !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
        });
    }

    fn pid_of(&self, app: &str) -> u32 {
        let request = Request::get("/pid").header("Host", &format!("{app}.example"));
        self.nginx.send(request).expect(200).text().trim().parse().unwrap()
    }

    fn master(&self) -> u32 {
        descendants(self.process.id())[0]
    }

    fn workers(&self) -> Vec<u32> {
        descendants(self.master())
    }

    fn stop(&mut self) {
        signal(self.master(), Signal::SIGQUIT);
        self.process.wait().unwrap();
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            kill_9(self.process.id());
            self.process.wait().unwrap();
        }
    }
}

#[test]
fn two_nginxes_in_containers_keep_their_apps_apart() {
    if !is_root() {
        return skipped("two_nginxes_in_containers_keep_their_apps_apart", "only root makes namespaces");
    }
    let test_dir = TestDir::new();
    let root_of = |app: &str| -> PathBuf { test_dir.app(app).standard(Language::Ruby).dir().to_owned() };
    let _roots = ["blog", "shop", "news"].map(root_of);
    let daemon = test_dir.daemon().start();
    let first = Contained::start(&test_dir, &["blog"]);
    let blog = first.pid_of("blog");

    let mut second = Contained::start(&test_dir, &["shop", "news"]);
    let (shop, news) = (second.pid_of("shop"), second.pid_of("news"));
    let goes = || daemon.log().contains("no longer in nginx's configuration");
    stays("nothing goes", Duration::from_secs(1), || !goes());
    assert_eq!(first.pid_of("blog"), blog);

    second.reconfigure(&["shop"]);
    eventually("an app that a reload has removed is stopped", || !daemon.app_pids().contains(&news));
    second.stop();
    stays("both keep what they have", Duration::from_secs(1), || {
        [blog, shop].iter().all(|pid| daemon.app_pids().contains(pid))
    });

    let _third = Contained::start(&test_dir, &["news"]);
    eventually("an app that a restart has removed is stopped", || !daemon.app_pids().contains(&shop));
    assert_eq!(first.pid_of("blog"), blog);
}

/// Waits for the next name after so many.
fn next_name(names: &Arc<Mutex<Vec<String>>>, after: usize) -> String {
    eventually("it has greeted the daemon", || names.lock().unwrap().len() > after);
    names.lock().unwrap().last().unwrap().clone()
}

#[test]
fn the_name_of_an_nginx_outlives_reloads_and_binary_upgrades() {
    let test_dir = TestDir::new();
    let (_daemon, names) = FakeDaemon::noting_instances(&test_dir.socket());
    let greetings = || names.lock().unwrap().len();
    let conf =
        ONE_APP_CONF.replace("%%APP%%", "").replace("%%GLOBALS%%", "%%GLOBALS%% env FRUIT=pear; env TZ;");
    let mut nginx = test_dir.nginx(&conf).start();
    let name = next_name(&names, 0);
    assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");

    for _ in 0..2 {
        let before = greetings();
        nginx.reload();
        assert_eq!(next_name(&names, before), name, "a reload");
        let before = greetings();
        nginx.usr2_upgrade();
        assert_eq!(next_name(&names, before), name, "a binary upgrade");
    }
    let before = greetings();
    nginx.stop();
    nginx.start_again();
    assert_ne!(next_name(&names, before), name, "another nginx");
}

#[test]
fn an_nginx_with_an_inherited_environment_has_its_own_name() {
    let test_dir = TestDir::new();
    let (_daemon, names) = FakeDaemon::noting_instances(&test_dir.socket());
    let foreign = "0123456789abcdef0123456789abcdef";
    let conf = ONE_APP_CONF.replace("%%APP%%", "");
    let _nginx = test_dir.nginx(&conf).variable("FLYING_PASSENGER_INSTANCE", foreign.as_ref()).start();
    assert_ne!(next_name(&names, 0), foreign);
}
