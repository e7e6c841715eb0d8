//! Global directives in nginx.conf: they reach the daemon, flags override them, and `passenger-config settings` shows them.

use serde_json::Value;
use test_support::{
    App, Daemon, DaemonBuilder, Language, Nginx, ONE_APP_CONF, Request, TestDir, eventually, is_root, skipped,
};

/// A standard Ruby app behind an nginx with lines in its `http` block.
pub(crate) struct DaemonSetup {
    pub(crate) nginx: Nginx,
    pub(crate) daemon: Daemon,
    app: App,
    pub(crate) test_dir: TestDir,
}

impl DaemonSetup {
    pub(crate) fn new(lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        Self::on(TestDir::new(), lines, flags)
    }

    pub(crate) fn on(
        test_dir: TestDir,
        lines: &str,
        flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder,
    ) -> Self {
        let app = test_dir.app("app").standard(Language::Ruby);
        let daemon = flags(test_dir.daemon()).start();
        let nginx = test_dir.nginx(&conf(lines)).start();
        nginx.get("/pid").expect(200);
        Self { nginx, daemon, app, test_dir }
    }

    pub(crate) fn reconfigure(&self, lines: &str) {
        self.nginx.configure(&conf(lines));
        self.nginx.reload();
    }

    /// An option's value and who decided it, as `passenger-config settings` shows them.
    pub(crate) fn option(&self, name: &str) -> (Value, String) {
        let shown = self.settings();
        let options = shown["options"].as_array().unwrap();
        let option = options.iter().find(|option| option["name"] == name);
        let option = option.unwrap_or_else(|| panic!("no option {name} in {shown}"));
        (option["value"].clone(), option["source"].as_str().unwrap().to_owned())
    }

    fn settings(&self) -> Value {
        let output = self.daemon.tool("passenger-config", &["settings", "--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn conf(lines: &str) -> String {
    let language = Language::Ruby.directives();
    ONE_APP_CONF.replace("%%HTTP%%", &format!("%%HTTP%% {lines}")).replace("%%APP%%", language)
}

fn decided(value: impl Into<Value>, source: &str) -> (Value, String) {
    (value.into(), source.to_owned())
}

#[test]
fn nginx_sets_what_no_flag_sets() {
    let setup = DaemonSetup::new("passenger_max_pool_size 3; passenger_pool_idle_time 2m;", |daemon| daemon);
    assert_eq!(setup.option("max_pool_size"), decided(3, "nginx"));
    assert_eq!(setup.option("pool_idle_time"), decided(120, "nginx"));
    assert_eq!(setup.option("stat_throttle_rate"), decided(10, "default"));
    assert!(setup.daemon.status().contains("Max pool size : 3"), "{}", setup.daemon.status());
    setup.daemon.logs_eventually("max_pool_size changed from 6 to 3 by nginx's configuration");
}

#[test]
fn a_flag_overrides_nginx_and_is_logged() {
    let setup = DaemonSetup::new("passenger_max_pool_size 9;", |daemon| daemon.flag("--max-pool-size=2"));
    assert_eq!(setup.option("max_pool_size"), decided(2, "flag"));
    setup
        .daemon
        .logs_eventually("passenger_max_pool_size 9 in nginx.conf is overridden by --max-pool-size=2");
}

#[test]
fn a_reload_changes_and_resets_options() {
    let setup = DaemonSetup::new("passenger_max_pool_size 3;", |daemon| daemon);
    setup.reconfigure("passenger_max_pool_size 4;");
    eventually("the new configuration applies", || {
        setup.nginx.get("/pid").expect(200);
        setup.option("max_pool_size") == decided(4, "nginx")
    });
    setup.reconfigure("");
    eventually("the daemon's own value applies again", || {
        setup.nginx.get("/pid").expect(200);
        setup.option("max_pool_size") == decided(6, "default")
    });
}

#[test]
fn a_new_router_knows_the_options_of_nginx() {
    let mut setup = DaemonSetup::new("passenger_max_pool_size 3;", |daemon| daemon);
    assert_eq!(setup.option("max_pool_size"), decided(3, "nginx"));
    setup.nginx.stop();
    setup.daemon.kill_router();
    eventually("the next router answers", || {
        setup.daemon.tool("passenger-config", &["settings", "--json"]).status.success()
    });
    assert_eq!(setup.option("max_pool_size"), decided(3, "nginx"));
}

#[test]
fn an_app_is_limited_by_max_instances_per_app() {
    let lines = "passenger_max_instances_per_app 1; passenger_max_pool_size 4;";
    let setup = DaemonSetup::new(lines, |daemon| daemon);
    let mut first = setup.nginx.connect();
    first.send(Request::get("/wait?name=first").bytes("keep-alive"));
    eventually("the only process is busy", || setup.test_dir.scratch("first.arrived").exists());
    let mut second = setup.nginx.connect();
    second.send(Request::get("/pid").bytes("keep-alive"));
    eventually("the second request waits", || setup.daemon.status().contains("Requests in queue: 1"));
    assert_eq!(setup.daemon.app_pids().len(), 1);
    setup.test_dir.open_gate("first");
    first.read_response().expect(200);
    second.read_response().expect(200);
    assert_eq!(setup.daemon.app_pids().len(), 1);
}

#[test]
fn responses_hide_the_version() {
    let setup = DaemonSetup::new("passenger_show_version_in_header off;", |daemon| daemon);
    assert_eq!(setup.nginx.get("/pid").expect(200).header("x-powered-by"), Some("Flying Passenger"));
}

#[test]
fn the_log_level_applies_at_once() {
    let setup = DaemonSetup::new("passenger_log_level debug;", |daemon| daemon);
    setup.nginx.get("/pid").expect(200);
    setup.daemon.logs_eventually("to \"debug\" by nginx's configuration");
    setup.daemon.logs_eventually("effects ]: pool: ");
}

#[test]
fn a_log_level_by_name_equals_its_number() {
    let lines = "passenger_log_level debug; passenger_max_pool_size 9;";
    let setup = DaemonSetup::new(lines, |daemon| daemon.flag("--log-level=5").flag("--max-pool-size=2"));
    setup
        .daemon
        .logs_eventually("passenger_max_pool_size 9 in nginx.conf is overridden by --max-pool-size=2");
    assert_eq!(setup.daemon.log().matches("is overridden by").count(), 1);
}

#[test]
fn ineffective_settings_are_reported() {
    let lines = "passenger_default_user \"\"; \
                 passenger_turbocaching on; passenger_instance_registry_dir /run/x; passenger_log_file relative;";
    let setup = DaemonSetup::new(lines, |daemon| daemon);
    assert_eq!(setup.option("default_user"), decided("nobody", "default"));
    for reported in [
        "ignoring invalid value \"\" in \"passenger_default_user\" of nginx.conf: must not be empty",
        "ignoring invalid value \"relative\" in \"passenger_log_file\" of nginx.conf: must be an absolute path",
        "passenger_turbocaching in nginx.conf has no effect: the daemon does not cache responses",
        "ignoring passenger_instance_registry_dir in nginx.conf: it is fixed when the daemon starts",
    ] {
        setup.daemon.logs_eventually(reported);
    }
    let unused = setup.settings()["ignored_directives"].to_string();
    assert!(unused.contains("turbocaching") && unused.contains("/run/x"), "{unused}");
}

#[test]
fn ctl_sets_the_named_directive() {
    let lines = "passenger_ctl max_pool_size 5; passenger_ctl pool_idle_time 60; passenger_ctl user_switching no; \
                 passenger_ctl stat_throttle_rate 3; passenger_stat_throttle_rate 4; \
                 passenger_ctl hook_spawn_failed /bin/x; passenger_ctl no_such_option 1; \
                 passenger_ctl max_instances_per_app many;";
    let setup = DaemonSetup::new(lines, |daemon| daemon.flag("--ctl=pool_idle_time=7"));
    assert_eq!(setup.option("max_pool_size"), decided(5, "nginx"));
    assert_eq!(setup.option("pool_idle_time"), decided(7, "flag"));
    assert_eq!(setup.option("user_switching"), decided(false, "nginx"));
    assert_eq!(setup.option("stat_throttle_rate"), decided(4, "nginx"));
    assert_eq!(setup.option("max_instances_per_app"), decided(0, "default"));
    for reported in [
        "passenger_pool_idle_time 60 in nginx.conf is overridden by --pool-idle-time=7",
        "ignoring passenger_ctl in nginx.conf: unknown option \"no_such_option\"; the options are max_pool_size, ",
        "ignoring passenger_ctl in nginx.conf: hook_spawn_failed: programs are configured with the daemon's flag \
         --hook only",
        "ignoring passenger_ctl in nginx.conf: invalid value \"many\" in \"max_instances_per_app\": must be a number >= 0",
    ] {
        setup.daemon.logs_eventually(reported);
    }
}

#[test]
fn invalid_ctl_flags_are_refused() {
    for word in ["no_such_option=1", "max_pool_size=none", "max_pool_size"] {
        let output = TestDir::new().daemon().flag("--ctl").flag(word).output();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && printed.contains("--ctl"), "{printed}");
    }
}

#[test]
fn the_settings_of_an_app_can_be_shown() {
    let setup =
        DaemonSetup::new("passenger_thread_count 7; passenger_env_var COLOUR green;", |daemon| daemon);
    let shown = setup.settings();
    let settings = shown["groups"][0]["settings"].to_string();
    assert!(settings.contains(r#"{"name":"thread_count","value":7}"#), "{settings}");
    assert!(settings.contains(r#"["COLOUR","green"]"#), "{settings}");
    let text = setup.daemon.tool("passenger-config", &["settings"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(&setup.app.dir().display().to_string()), "{text}");
    assert!(text.lines().any(|line| line.contains("max_pool_size") && line.ends_with("(default)")), "{text}");
}

#[test]
fn the_default_user_follows_nginx() {
    if !is_root() {
        skipped("the_default_user_follows_nginx", "users are switched by root only");
        return;
    }
    let setup = DaemonSetup::new("passenger_default_user games;", |daemon| daemon);
    assert!(setup.nginx.get("/uid").expect(200).text().contains(" games "));
    setup.reconfigure("passenger_default_user nosuchuser;");
    eventually("nginx has connected again", || {
        setup.nginx.get("/uid").expect(200);
        setup.daemon.log().contains("there is no user \"nosuchuser\"")
    });
    setup.reconfigure("passenger_default_user root;");
    eventually("nginx has connected again", || {
        setup.nginx.get("/uid").expect(200);
        setup.daemon.log().contains("root does not run apps")
    });
}
