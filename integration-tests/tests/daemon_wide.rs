//! Global directives in nginx.conf: they reach the daemon, flags override them, and `passenger-config settings` shows them.

use serde_json::Value;
use stage::{
    App, Daemon, DaemonBuilder, Language, Nginx, ONE_APP, Request, Stage, eventually, is_root, skipped,
};

/// A standard Ruby app behind an nginx with lines in its `http` block.
pub(crate) struct Wide {
    pub(crate) nginx: Nginx,
    pub(crate) daemon: Daemon,
    app: App,
    pub(crate) stage: Stage,
}

impl Wide {
    pub(crate) fn new(lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        Self::on(Stage::new(), lines, flags)
    }

    pub(crate) fn on(stage: Stage, lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        let app = stage.app("app").standard(Language::Ruby);
        let daemon = flags(stage.daemon()).start();
        let nginx = stage.nginx(&conf(lines)).start();
        nginx.get("/pid").expect(200);
        Self { nginx, daemon, app, stage }
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
    ONE_APP.replace("%%HTTP%%", &format!("%%HTTP%% {lines}")).replace("%%APP%%", language)
}

fn decided(value: impl Into<Value>, source: &str) -> (Value, String) {
    (value.into(), source.to_owned())
}

#[test]
fn nginx_decides_what_no_flag_does() {
    let wide = Wide::new("passenger_max_pool_size 3; passenger_pool_idle_time 2m;", |daemon| daemon);
    assert_eq!(wide.option("max_pool_size"), decided(3, "nginx"));
    assert_eq!(wide.option("pool_idle_time"), decided(120, "nginx"));
    assert_eq!(wide.option("stat_throttle_rate"), decided(10, "default"));
    assert!(wide.daemon.status().contains("Max pool size : 3"), "{}", wide.daemon.status());
    wide.daemon.logs_eventually("max_pool_size changed from 6 to 3 by nginx's configuration");
}

#[test]
fn a_flag_of_the_daemon_counts_more_and_the_log_says_so() {
    let wide = Wide::new("passenger_max_pool_size 9;", |daemon| daemon.flag("--max-pool-size=2"));
    assert_eq!(wide.option("max_pool_size"), decided(2, "flag"));
    wide.daemon.logs_eventually("passenger_max_pool_size 9 in nginx.conf is overridden by --max-pool-size=2");
}

#[test]
fn a_reload_changes_it_and_takes_it_back() {
    let wide = Wide::new("passenger_max_pool_size 3;", |daemon| daemon);
    wide.reconfigure("passenger_max_pool_size 4;");
    eventually("the new configuration counts", || {
        wide.nginx.get("/pid").expect(200);
        wide.option("max_pool_size") == decided(4, "nginx")
    });
    wide.reconfigure("");
    eventually("the daemon's own value counts again", || {
        wide.nginx.get("/pid").expect(200);
        wide.option("max_pool_size") == decided(6, "default")
    });
}

#[test]
fn the_next_router_knows_it_before_nginx_speaks() {
    let mut wide = Wide::new("passenger_max_pool_size 3;", |daemon| daemon);
    assert_eq!(wide.option("max_pool_size"), decided(3, "nginx"));
    wide.nginx.stop();
    wide.daemon.kill_router();
    eventually("the next router answers", || {
        wide.daemon.tool("passenger-config", &["settings", "--json"]).status.success()
    });
    assert_eq!(wide.option("max_pool_size"), decided(3, "nginx"));
}

#[test]
fn one_app_gets_no_more_processes_than_every_app_may_have() {
    let lines = "passenger_max_instances_per_app 1; passenger_max_pool_size 4;";
    let wide = Wide::new(lines, |daemon| daemon);
    let mut first = wide.nginx.connect();
    first.send(Request::get("/wait?name=first").bytes("keep-alive"));
    eventually("the only process is busy", || wide.stage.scratch("first.arrived").exists());
    let mut second = wide.nginx.connect();
    second.send(Request::get("/pid").bytes("keep-alive"));
    eventually("the second request waits", || wide.daemon.status().contains("Requests in queue: 1"));
    assert_eq!(wide.daemon.app_pids().len(), 1);
    wide.stage.open_gate("first");
    first.read_response().expect(200);
    second.read_response().expect(200);
    assert_eq!(wide.daemon.app_pids().len(), 1);
}

#[test]
fn answers_hide_the_version() {
    let wide = Wide::new("passenger_show_version_in_header off;", |daemon| daemon);
    assert_eq!(wide.nginx.get("/pid").expect(200).header("x-powered-by"), Some("Flying Passenger"));
}

#[test]
fn the_log_says_more_from_then_on() {
    let wide = Wide::new("passenger_log_level debug;", |daemon| daemon);
    wide.nginx.get("/pid").expect(200);
    wide.daemon.logs_eventually("to \"debug\" by nginx's configuration");
    wide.daemon.logs_eventually("execute ]: pool: ");
}

#[test]
fn a_level_as_a_name_is_no_other_level_than_as_a_number() {
    let lines = "passenger_log_level debug; passenger_max_pool_size 9;";
    let wide = Wide::new(lines, |daemon| daemon.flag("--log-level=5").flag("--max-pool-size=2"));
    wide.daemon.logs_eventually("passenger_max_pool_size 9 in nginx.conf is overridden by --max-pool-size=2");
    assert_eq!(wide.daemon.log().matches("is overridden by").count(), 1);
}

#[test]
fn what_cannot_count_is_told() {
    let lines = "passenger_default_user \"\"; \
                 passenger_turbocaching on; passenger_instance_registry_dir /run/x; passenger_log_file relative;";
    let wide = Wide::new(lines, |daemon| daemon);
    assert_eq!(wide.option("default_user"), decided("nobody", "default"));
    for told in [
        "ignoring invalid value \"\" in \"passenger_default_user\" of nginx.conf: must not be empty",
        "ignoring invalid value \"relative\" in \"passenger_log_file\" of nginx.conf: must be an absolute path",
        "passenger_turbocaching in nginx.conf has no effect: the daemon does not cache responses",
        "ignoring passenger_instance_registry_dir in nginx.conf: it is fixed when the daemon starts",
    ] {
        wide.daemon.logs_eventually(told);
    }
    let unused = wide.settings()["ignored_directives"].to_string();
    assert!(unused.contains("turbocaching") && unused.contains("/run/x"), "{unused}");
}

#[test]
fn ctl_stands_for_the_directive_that_it_names() {
    let lines = "passenger_ctl max_pool_size 5; passenger_ctl pool_idle_time 60; passenger_ctl user_switching no; \
                 passenger_ctl stat_throttle_rate 3; passenger_stat_throttle_rate 4; \
                 passenger_ctl hook_spawn_failed /bin/x; passenger_ctl no_such_option 1; \
                 passenger_ctl max_instances_per_app many;";
    let wide = Wide::new(lines, |daemon| daemon.flag("--ctl=pool_idle_time=7"));
    assert_eq!(wide.option("max_pool_size"), decided(5, "nginx"));
    assert_eq!(wide.option("pool_idle_time"), decided(7, "flag"));
    assert_eq!(wide.option("user_switching"), decided(false, "nginx"));
    assert_eq!(wide.option("stat_throttle_rate"), decided(4, "nginx"));
    assert_eq!(wide.option("max_instances_per_app"), decided(0, "default"));
    for told in [
        "passenger_pool_idle_time 60 in nginx.conf is overridden by --pool-idle-time=7",
        "ignoring passenger_ctl in nginx.conf: unknown option \"no_such_option\"; the options are max_pool_size, ",
        "ignoring passenger_ctl in nginx.conf: hook_spawn_failed: programs are configured with the daemon's flag \
         --hook only",
        "ignoring passenger_ctl in nginx.conf: invalid value \"many\" in \"max_instances_per_app\": must be a number >= 0",
    ] {
        wide.daemon.logs_eventually(told);
    }
}

#[test]
fn ctl_on_the_command_line_must_make_sense() {
    for word in ["no_such_option=1", "max_pool_size=none", "max_pool_size"] {
        let output = Stage::new().daemon().flag("--ctl").flag(word).output();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("--ctl"), "{said}");
    }
}

#[test]
fn an_apps_settings_can_be_seen() {
    let wide = Wide::new("passenger_thread_count 7; passenger_env_var COLOUR green;", |daemon| daemon);
    let shown = wide.settings();
    let settings = shown["groups"][0]["settings"].to_string();
    assert!(settings.contains(r#"{"name":"thread_count","value":7}"#), "{settings}");
    assert!(settings.contains(r#"["COLOUR","green"]"#), "{settings}");
    let text = wide.daemon.tool("passenger-config", &["settings"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(&wide.app.dir().display().to_string()), "{text}");
    assert!(text.lines().any(|line| line.contains("max_pool_size") && line.ends_with("(default)")), "{text}");
}

#[test]
fn the_default_user_follows_nginx() {
    if !is_root() {
        skipped("the_default_user_follows_nginx", "users are switched by root only");
        return;
    }
    let wide = Wide::new("passenger_default_user games;", |daemon| daemon);
    assert!(wide.nginx.get("/uid").expect(200).text().contains(" games "));
    wide.reconfigure("passenger_default_user nosuchuser;");
    eventually("nginx has spoken again", || {
        wide.nginx.get("/uid").expect(200);
        wide.daemon.log().contains("there is no user \"nosuchuser\"")
    });
    wide.reconfigure("passenger_default_user root;");
    eventually("nginx has spoken again", || {
        wide.nginx.get("/uid").expect(200);
        wide.daemon.log().contains("root does not run apps")
    });
}
