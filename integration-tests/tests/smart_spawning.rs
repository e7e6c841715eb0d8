//! Smart spawning: an app is loaded once, and its processes are forked from the preloader.

use std::collections::BTreeSet;

use test_support::for_each_language;
use test_support::{
    App, Language, OneApp, eventually, eventually_some, is_alive, is_root, kill_9, owner_uid,
};

const SMART: &str = "passenger_spawn_method smart;";

/// Records the loading process, and in `started` and `stopped` the arguments of its hooks.
const RUBY: &str = r##"
SCRATCH = File.realpath('scratch')
NOTE = ->(name, text) { File.open(File.join(SCRATCH, name), 'a') { |file| file.write("#{text}\n") } }
LOADED_BY = Process.pid
NOTE.call('loaded', LOADED_BY)
PhusionPassenger.on_event(:starting_worker_process) do |forked|
  NOTE.call('started', "#{Process.pid} #{forked ? 'forked' : 'direct'} #{rand(1 << 60)}")
end
PhusionPassenger.on_event(:stopping_worker_process) { NOTE.call('stopped', Process.pid) }
run lambda { |env|
  text = env['PATH_INFO'] == '/pid' ? Process.pid : "#{LOADED_BY} #{ENV['MARK']}"
  [200, { 'Content-Type' => 'text/plain' }, [text.to_s]]
}
"##;

const PYTHON: &str = r#"
import os, random
from flying_passenger import on_event
SCRATCH = os.path.realpath("scratch")
def note(name, text):
    with open(os.path.join(SCRATCH, name), "a") as file:
        file.write(f"{text}\n")
LOADED_BY = os.getpid()
note("loaded", LOADED_BY)
@on_event("starting_worker_process")
def starting(forked):
    note("started", f"{os.getpid()} {'forked' if forked else 'direct'} {random.getrandbits(60)}")
@on_event("stopping_worker_process")
def stopping():
    note("stopped", os.getpid())
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    text = os.getpid() if environ["PATH_INFO"] == "/pid" else f"{LOADED_BY} {os.environ.get('MARK', '')}"
    return [str(text).encode()]
"#;

fn app(language: Language, app: App) -> App {
    match language {
        Language::Ruby => app.ruby(RUBY),
        _ => app.python(PYTHON),
    }
}

fn setup(language: Language, lines: &str) -> OneApp {
    let lines = format!("{SMART} {lines}");
    OneApp::custom(&lines, |daemon| daemon.flag("--stat-throttle-rate=0"), |to| app(language, to))
}

/// The lines of a file that the app wrote.
fn noted(setup: &OneApp, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(setup.test_dir.scratch(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Everybody who loaded the app, as PIDs.
fn loaders(setup: &OneApp) -> Vec<u32> {
    noted(setup, "loaded").iter().map(|pid| pid.parse().unwrap()).collect()
}

#[track_caller]
fn wait_for_count(setup: &OneApp, count: usize) -> BTreeSet<u32> {
    setup.app_pid();
    eventually_some(&format!("{count} processes"), || {
        let pids: BTreeSet<u32> = setup.daemon.app_pids().into_iter().collect();
        (pids.len() == count).then_some(pids)
    })
}

fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

for_each_language! {
    [ruby, python]
    fn an_app_is_loaded_once_for_all_its_processes(language) {
        let setup = setup(language, "passenger_min_instances 3;");
        let pids = wait_for_count(&setup, 3);
        let [preloader] = loaders(&setup)[..] else { panic!("loaded by {:?}", loaders(&setup)) };
        assert!(!pids.contains(&preloader), "the preloader serves nothing");
        assert!(pids.iter().all(|pid| parent(*pid) == setup.daemon.pid()), "they are the supervisor's children");
        assert_eq!(parent(preloader), setup.daemon.pid());
        assert_eq!(setup.nginx.get("/").expect(200).text().trim(), preloader.to_string());

        let started = noted(&setup, "started");
        let reported = started.iter().map(|line| line.split(' ').collect::<Vec<_>>());
        let hooks: BTreeSet<u32> = reported.clone().map(|words| words[0].parse().unwrap()).collect();
        assert_eq!(hooks, pids, "the hook runs in each process, and not in the preloader");
        assert!(reported.clone().all(|words| words[1] == "forked"), "{started:?}");
        assert_eq!(reported.map(|words| words[2].to_owned()).collect::<BTreeSet<_>>().len(), 3, "chance differs");

        let json = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
        let json = String::from_utf8_lossy(&json).replace(' ', "");
        assert!(json.contains(&format!("\"preloader\":{preloader}")), "{json}");
    }
}

for_each_language! {
    [ruby, python]
    fn direct_spawning_loads_the_app_in_each_process(language) {
        let lines = "passenger_spawn_method direct; passenger_min_instances 2;";
        let setup = OneApp::app(lines, |to| app(language, to));
        let pids = wait_for_count(&setup, 2);
        assert_eq!(loaders(&setup).into_iter().collect::<BTreeSet<_>>(), pids);
        assert!(noted(&setup, "started").iter().all(|line| line.contains(" direct ")));
    }
}

for_each_language! {
    [ruby, python]
    fn a_restart_loads_the_app_again(language) {
        let setup = setup(language, "");
        let first = setup.app_pid();
        let old = loaders(&setup)[0];
        setup.app.touch_restart_txt();
        let second = setup.app_pid();
        assert_ne!(second, first);
        assert_eq!(loaders(&setup).len(), 2);
        assert_eq!(setup.nginx.get("/").expect(200).text().trim(), loaders(&setup)[1].to_string());
        eventually("the preloader with the old code has ended", || !is_alive(old));
        eventually("the previous process was notified of its end", || {
            noted(&setup, "stopped") == [first.to_string()]
        });
    }
}

for_each_language! {
    [ruby, python]
    fn concurrent_starts_load_the_app_once(language) {
        let setup = setup(language, "passenger_min_instances 3;");
        let old = wait_for_count(&setup, 3);
        setup.app.touch_restart_txt();
        setup.app_pid();
        eventually("all are replaced", || {
            let now: BTreeSet<u32> = setup.daemon.app_pids().into_iter().collect();
            now.len() == 3 && now.is_disjoint(&old)
        });
        assert_eq!(loaders(&setup).len(), 2, "loaded by {:?}", loaders(&setup));
    }
}

for_each_language! {
    [ruby, python]
    fn a_rolling_restart_loads_the_new_version_once(language) {
        let setup = setup(language, "passenger_rolling_restarts on; passenger_min_instances 3;");
        let old = wait_for_count(&setup, 3);
        setup.app.touch_restart_txt();
        setup.app_pid();
        eventually("all are replaced", || {
            let now: BTreeSet<u32> = setup.daemon.app_pids().into_iter().collect();
            now.len() == 3 && now.is_disjoint(&old)
        });
        let [_, second] = loaders(&setup)[..] else { panic!("loaded by {:?}", loaders(&setup)) };
        assert_eq!(setup.nginx.get("/").expect(200).text().trim(), second.to_string());
    }
}

for_each_language! {
    [ruby, python]
    fn a_killed_preloader_loses_no_request(language) {
        let setup = setup(language, "passenger_min_instances 2;");
        let pids = wait_for_count(&setup, 2);
        let preloader = loaders(&setup)[0];
        kill_9(preloader);
        setup.daemon.logs_eventually(&format!("preloader {preloader} was killed by signal 9"));
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        let lost = *pids.first().unwrap();
        kill_9(lost);
        eventually("another process is there", || {
            let now: BTreeSet<u32> = setup.daemon.app_pids().into_iter().collect();
            now.len() == 2 && !now.contains(&lost) && now.contains(pids.last().unwrap())
        });
        assert_eq!(loaders(&setup).len(), 2, "another preloader has loaded the app");
    }
}

for_each_language! {
    [ruby, python]
    fn an_idle_preloader_is_ended(language) {
        let setup = setup(language, "passenger_max_preloader_idle_time 1;");
        let pid = setup.app_pid();
        let preloader = loaders(&setup)[0];
        eventually("the preloader has ended", || !is_alive(preloader));
        assert_eq!(setup.app_pid(), pid, "its process serves on");
        kill_9(pid);
        eventually("another preloader has loaded the app", || loaders(&setup).len() == 2);
        eventually("another process serves", || setup.nginx.get("/").status() == 200);
    }
}

for_each_language! {
    [ruby, python]
    fn a_hook_that_fails_is_a_failed_start(language) {
        let lines = format!("{SMART} passenger_app_env development;");
        let setup = OneApp::app(&lines, |to| match language {
            Language::Ruby => {
                let hook = "PhusionPassenger.on_event(:starting_worker_process) { |_| raise 'hooked on cheese' }";
                to.ruby(&format!("{hook}\n{RUBY}"))
            }
            _ => to.python(&format!("{PYTHON}\n@on_event('starting_worker_process')\ndef broken(forked):\n    raise RuntimeError('hooked on cheese')\n")),
        });
        for _ in 0..2 {
            let response = setup.nginx.get("/");
            assert_eq!(response.status(), 500);
            assert!(response.text().contains("hooked on cheese"), "{}", response.text());
        }
        assert_eq!(loaders(&setup).len(), 1, "the preloader is in order");
    }
}

for_each_language! {
    [ruby, python]
    fn a_load_error_is_reported(language) {
        let lines = format!("{SMART} passenger_app_env development;");
        let setup = OneApp::app(&lines, |to| match language {
            Language::Ruby => to.ruby("puts 'last words'; raise 'out of cheese'"),
            _ => to.python("print('last words')\nraise RuntimeError('out of cheese')\n"),
        });
        let page = setup.nginx.get("/");
        assert_eq!(page.status(), 500);
        for text in ["out of cheese", "last words"] {
            assert!(page.text().contains(text), "{text} is missing in {}", page.text());
        }
        setup.app.write("config.ru", RUBY);
        setup.app.write("passenger_wsgi.py", PYTHON);
        setup.app_pid();
    }
}

for_each_language! {
    [ruby, python]
    fn a_new_router_keeps_forked_processes(language) {
        let setup = setup(language, "passenger_min_instances 2;");
        let pids = wait_for_count(&setup, 2);
        let preloader = loaders(&setup)[0];
        setup.daemon.kill_router();
        eventually("the preloader has ended with its router", || !is_alive(preloader));
        assert_eq!(wait_for_count(&setup, 2), pids);
        kill_9(*pids.first().unwrap());
        eventually("the next router's preloader has loaded the app", || loaders(&setup).len() == 2);
        wait_for_count(&setup, 2);
    }
}

for_each_language! {
    [ruby, python]
    fn shutdown_leaves_no_preloader(language) {
        let mut setup = setup(language, "passenger_min_instances 2;");
        let pids = wait_for_count(&setup, 2);
        let preloader = loaders(&setup)[0];
        assert!(setup.daemon.stop().success());
        assert!(!is_alive(preloader) && !pids.iter().any(|pid| is_alive(*pid)));
        assert!(!setup.daemon.log().contains("is killed"), "{}", setup.daemon.log());
    }
}

for_each_language! {
    [ruby, python]
    fn every_process_runs_as_the_apps_user(language) {
        if !is_root() {
            test_support::skipped("every_process_runs_as_the_apps_user", "users are switched by root only");
            return;
        }
        let setup = OneApp::app(SMART, |to| app(language, to).owned_by("games"));
        let games = nix::unistd::User::from_name("games").unwrap().unwrap().uid.as_raw();
        assert_eq!(owner_uid(setup.app_pid()), games);
        assert_eq!(owner_uid(loaders(&setup)[0]), games);
    }
}

#[test]
fn smart_spawning_is_the_default_for_ruby() {
    let setup = OneApp::app("", |to| to.ruby(RUBY));
    assert_ne!(setup.app_pid(), loaders(&setup)[0]);
}

#[test]
fn an_app_that_cannot_fork_is_started_directly() {
    let broken =
        "Process.define_singleton_method(:fork) { raise NotImplementedError, 'not on this machine' }";
    let setup = OneApp::app("passenger_min_instances 4;", |to| to.ruby(&format!("{broken}\n{RUBY}")));
    let pids = wait_for_count(&setup, 4);
    assert!(noted(&setup, "started").iter().all(|line| line.contains(" direct ")));
    // Processes that start at once try the same preloader.
    let preloaders = loaders(&setup).len() - pids.len();
    assert!((2..=3).contains(&preloaders), "{preloaders} preloaders were tried");
    setup.daemon.logs_eventually("started directly until its next restart");
}

#[test]
fn changed_settings_replace_the_preloader() {
    let conf = |mark: &str| {
        test_support::ONE_APP_CONF.replace("%%APP%%", &format!("{SMART} passenger_env_var MARK {mark};"))
    };
    let setup = OneApp::app("passenger_env_var MARK one;", |to| to.ruby(RUBY));
    assert!(setup.nginx.get("/").expect(200).text().ends_with(" one"));
    let old = loaders(&setup)[0];
    setup.nginx.configure(&conf("two"));
    setup.nginx.reload();
    eventually("the next process has the new settings", || {
        kill_9(setup.app_pid());
        let answer = setup.nginx.get("/");
        answer.status() == 200 && answer.text().ends_with(" two")
    });
    eventually("the old preloader has ended", || !is_alive(old));
}

#[test]
fn bundler_is_loaded_before_the_app_when_configured() {
    // With this file the loader leaves Bundler to the app, which does without it.
    let setup_code = "SEEN = defined?(Bundler) ? 'preloaded' : 'absent'";
    let ru = "run ->(env) { [200, {}, [SEEN]] }";
    let gemfile = "gem 'rack'\n";
    for method in ["smart", "direct"] {
        for (line, expected) in [("passenger_preload_bundler on;", "preloaded"), ("", "absent")] {
            let lines = format!("passenger_spawn_method {method}; passenger_app_env development; {line}");
            let setup = OneApp::app(&lines, |app| {
                let app =
                    app.ruby(ru).file("config/setup_load_paths.rb", setup_code).file("Gemfile", gemfile);
                if is_root() { app.owned_by("games") } else { app }
            });
            assert_eq!(setup.nginx.get("/").expect(200).text(), expected, "{method} {line}");
        }
    }
}
