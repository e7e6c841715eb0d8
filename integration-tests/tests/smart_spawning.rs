//! Smart spawning: an app is loaded once, and its processes are forked from the preloader.

use std::collections::BTreeSet;

use stage::for_each_language;
use stage::{App, Language, Scene, eventually, eventually_some, is_alive, is_root, kill_9, owner_uid};

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

fn scene(language: Language, lines: &str) -> Scene {
    let lines = format!("{SMART} {lines}");
    Scene::set(&lines, |daemon| daemon.flag("--stat-throttle-rate=0"), |to| app(language, to))
}

/// The lines of a file that the app wrote.
fn noted(scene: &Scene, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(scene.stage.scratch(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Everybody who loaded the app, as PIDs.
fn loaders(scene: &Scene) -> Vec<u32> {
    noted(scene, "loaded").iter().map(|pid| pid.parse().unwrap()).collect()
}

#[track_caller]
fn until_there_are(scene: &Scene, count: usize) -> BTreeSet<u32> {
    scene.app_pid();
    eventually_some(&format!("{count} processes"), || {
        let pids: BTreeSet<u32> = scene.daemon.app_pids().into_iter().collect();
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
        let scene = scene(language, "passenger_min_instances 3;");
        let pids = until_there_are(&scene, 3);
        let [preloader] = loaders(&scene)[..] else { panic!("loaded by {:?}", loaders(&scene)) };
        assert!(!pids.contains(&preloader), "the preloader serves nothing");
        assert!(pids.iter().all(|pid| parent(*pid) == scene.daemon.pid()), "they are the supervisor's children");
        assert_eq!(parent(preloader), scene.daemon.pid());
        assert_eq!(scene.nginx.get("/").expect(200).text().trim(), preloader.to_string());

        let started = noted(&scene, "started");
        let told = started.iter().map(|line| line.split(' ').collect::<Vec<_>>());
        let hooks: BTreeSet<u32> = told.clone().map(|words| words[0].parse().unwrap()).collect();
        assert_eq!(hooks, pids, "the hook runs in each process, and not in the preloader");
        assert!(told.clone().all(|words| words[1] == "forked"), "{started:?}");
        assert_eq!(told.map(|words| words[2].to_owned()).collect::<BTreeSet<_>>().len(), 3, "chance differs");

        let json = scene.daemon.tool("passenger-status", &["--show=json"]).stdout;
        let json = String::from_utf8_lossy(&json).replace(' ', "");
        assert!(json.contains(&format!("\"preloader\":{preloader}")), "{json}");
    }
}

for_each_language! {
    [ruby, python]
    fn a_direct_app_is_loaded_by_each_process(language) {
        let lines = "passenger_spawn_method direct; passenger_min_instances 2;";
        let scene = Scene::app(lines, |to| app(language, to));
        let pids = until_there_are(&scene, 2);
        assert_eq!(loaders(&scene).into_iter().collect::<BTreeSet<_>>(), pids);
        assert!(noted(&scene, "started").iter().all(|line| line.contains(" direct ")));
    }
}

for_each_language! {
    [ruby, python]
    fn a_restart_loads_the_app_anew(language) {
        let scene = scene(language, "");
        let first = scene.app_pid();
        let old = loaders(&scene)[0];
        scene.app.touch_restart_txt();
        let second = scene.app_pid();
        assert_ne!(second, first);
        assert_eq!(loaders(&scene).len(), 2);
        assert_eq!(scene.nginx.get("/").expect(200).text().trim(), loaders(&scene)[1].to_string());
        eventually("the preloader with the old code has ended", || !is_alive(old));
        eventually("the process of before was told of its end", || {
            noted(&scene, "stopped") == [first.to_string()]
        });
    }
}

for_each_language! {
    [ruby, python]
    fn processes_that_start_at_once_are_loaded_once(language) {
        let scene = scene(language, "passenger_min_instances 3;");
        let old = until_there_are(&scene, 3);
        scene.app.touch_restart_txt();
        scene.app_pid();
        eventually("all are replaced", || {
            let now: BTreeSet<u32> = scene.daemon.app_pids().into_iter().collect();
            now.len() == 3 && now.is_disjoint(&old)
        });
        assert_eq!(loaders(&scene).len(), 2, "loaded by {:?}", loaders(&scene));
    }
}

for_each_language! {
    [ruby, python]
    fn a_rolling_restart_loads_the_new_version_once(language) {
        let scene = scene(language, "passenger_rolling_restarts on; passenger_min_instances 3;");
        let old = until_there_are(&scene, 3);
        scene.app.touch_restart_txt();
        scene.app_pid();
        eventually("all are replaced", || {
            let now: BTreeSet<u32> = scene.daemon.app_pids().into_iter().collect();
            now.len() == 3 && now.is_disjoint(&old)
        });
        let [_, second] = loaders(&scene)[..] else { panic!("loaded by {:?}", loaders(&scene)) };
        assert_eq!(scene.nginx.get("/").expect(200).text().trim(), second.to_string());
    }
}

for_each_language! {
    [ruby, python]
    fn a_killed_preloader_costs_nothing(language) {
        let scene = scene(language, "passenger_min_instances 2;");
        let pids = until_there_are(&scene, 2);
        let preloader = loaders(&scene)[0];
        kill_9(preloader);
        scene.daemon.logs_eventually(&format!("preloader {preloader} was killed by signal 9"));
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        let lost = *pids.first().unwrap();
        kill_9(lost);
        eventually("another process is there", || {
            let now: BTreeSet<u32> = scene.daemon.app_pids().into_iter().collect();
            now.len() == 2 && !now.contains(&lost) && now.contains(pids.last().unwrap())
        });
        assert_eq!(loaders(&scene).len(), 2, "another preloader has loaded the app");
    }
}

for_each_language! {
    [ruby, python]
    fn an_idle_preloader_is_ended(language) {
        let scene = scene(language, "passenger_max_preloader_idle_time 1;");
        let pid = scene.app_pid();
        let preloader = loaders(&scene)[0];
        eventually("the preloader has ended", || !is_alive(preloader));
        assert_eq!(scene.app_pid(), pid, "its process serves on");
        kill_9(pid);
        eventually("another preloader has loaded the app", || loaders(&scene).len() == 2);
        eventually("another process serves", || scene.nginx.get("/").status() == 200);
    }
}

for_each_language! {
    [ruby, python]
    fn a_hook_that_fails_is_a_failed_start(language) {
        let lines = format!("{SMART} passenger_app_env development;");
        let scene = Scene::app(&lines, |to| match language {
            Language::Ruby => {
                let hook = "PhusionPassenger.on_event(:starting_worker_process) { |_| raise 'hooked on cheese' }";
                to.ruby(&format!("{hook}\n{RUBY}"))
            }
            _ => to.python(&format!("{PYTHON}\n@on_event('starting_worker_process')\ndef broken(forked):\n    raise RuntimeError('hooked on cheese')\n")),
        });
        for _ in 0..2 {
            let response = scene.nginx.get("/");
            assert_eq!(response.status(), 500);
            assert!(response.text().contains("hooked on cheese"), "{}", response.text());
        }
        assert_eq!(loaders(&scene).len(), 1, "the preloader is in order");
    }
}

for_each_language! {
    [ruby, python]
    fn an_app_that_cannot_be_loaded_says_why(language) {
        let lines = format!("{SMART} passenger_app_env development;");
        let scene = Scene::app(&lines, |to| match language {
            Language::Ruby => to.ruby("puts 'last words'; raise 'out of cheese'"),
            _ => to.python("print('last words')\nraise RuntimeError('out of cheese')\n"),
        });
        let page = scene.nginx.get("/");
        assert_eq!(page.status(), 500);
        for text in ["out of cheese", "last words"] {
            assert!(page.text().contains(text), "{text} is missing in {}", page.text());
        }
        scene.app.write("config.ru", RUBY);
        scene.app.write("passenger_wsgi.py", PYTHON);
        scene.app_pid();
    }
}

for_each_language! {
    [ruby, python]
    fn another_router_keeps_the_processes(language) {
        let scene = scene(language, "passenger_min_instances 2;");
        let pids = until_there_are(&scene, 2);
        let preloader = loaders(&scene)[0];
        scene.daemon.kill_router();
        eventually("the preloader has gone with its router", || !is_alive(preloader));
        assert_eq!(until_there_are(&scene, 2), pids);
        kill_9(*pids.first().unwrap());
        eventually("the next router's preloader has loaded the app", || loaders(&scene).len() == 2);
        until_there_are(&scene, 2);
    }
}

for_each_language! {
    [ruby, python]
    fn the_end_of_the_daemon_leaves_nothing(language) {
        let mut scene = scene(language, "passenger_min_instances 2;");
        let pids = until_there_are(&scene, 2);
        let preloader = loaders(&scene)[0];
        assert!(scene.daemon.stop().success());
        assert!(!is_alive(preloader) && !pids.iter().any(|pid| is_alive(*pid)));
        assert!(!scene.daemon.log().contains("is killed"), "{}", scene.daemon.log());
    }
}

for_each_language! {
    [ruby, python]
    fn every_process_is_of_the_apps_user(language) {
        if !is_root() {
            stage::skipped("every_process_is_of_the_apps_user", "users are switched by root only");
            return;
        }
        let scene = Scene::app(SMART, |to| app(language, to).owned_by("games"));
        let games = nix::unistd::User::from_name("games").unwrap().unwrap().uid.as_raw();
        assert_eq!(owner_uid(scene.app_pid()), games);
        assert_eq!(owner_uid(loaders(&scene)[0]), games);
    }
}

#[test]
fn ruby_is_smart_without_being_told() {
    let scene = Scene::app("", |to| to.ruby(RUBY));
    assert_ne!(scene.app_pid(), loaders(&scene)[0]);
}

#[test]
fn an_app_that_cannot_be_forked_is_started_directly_and_soon_only_so() {
    let broken =
        "Process.define_singleton_method(:fork) { raise NotImplementedError, 'not on this machine' }";
    let scene = Scene::app("passenger_min_instances 4;", |to| to.ruby(&format!("{broken}\n{RUBY}")));
    let pids = until_there_are(&scene, 4);
    assert!(noted(&scene, "started").iter().all(|line| line.contains(" direct ")));
    // Processes that start at once try the same preloader.
    let preloaders = loaders(&scene).len() - pids.len();
    assert!((2..=3).contains(&preloaders), "{preloaders} preloaders were tried");
    scene.daemon.logs_eventually("is started directly until its next restart");
}

#[test]
fn other_settings_are_not_forked_from_what_was_loaded_with_the_old_ones() {
    let conf =
        |mark: &str| stage::ONE_APP.replace("%%APP%%", &format!("{SMART} passenger_env_var MARK {mark};"));
    let scene = Scene::app("passenger_env_var MARK one;", |to| to.ruby(RUBY));
    assert!(scene.nginx.get("/").expect(200).text().ends_with(" one"));
    let old = loaders(&scene)[0];
    scene.nginx.configure(&conf("two"));
    scene.nginx.reload();
    eventually("the next process has the new settings", || {
        kill_9(scene.app_pid());
        let answer = scene.nginx.get("/");
        answer.status() == 200 && answer.text().ends_with(" two")
    });
    eventually("the old preloader has ended", || !is_alive(old));
}

#[test]
fn bundler_is_there_before_the_app_if_it_is_wanted() {
    // With this file the loader leaves Bundler to the app, which does without it.
    let setup = "SEEN = defined?(Bundler) ? 'preloaded' : 'absent'";
    let ru = "run ->(env) { [200, {}, [SEEN]] }";
    let gemfile = "gem 'rack'\n";
    for method in ["smart", "direct"] {
        for (line, expected) in [("passenger_preload_bundler on;", "preloaded"), ("", "absent")] {
            let lines = format!("passenger_spawn_method {method}; passenger_app_env development; {line}");
            let scene = Scene::app(&lines, |app| {
                let app = app.ruby(ru).file("config/setup_load_paths.rb", setup).file("Gemfile", gemfile);
                if is_root() { app.owned_by("games") } else { app }
            });
            assert_eq!(scene.nginx.get("/").expect(200).text(), expected, "{method} {line}");
        }
    }
}
