//! Sixty-four connections at once, for a while: nothing fails, nothing grows.
//!
//! Five seconds are always run. `make soak` sets `SOAK_SECONDS` (60 by default there) and runs the ignored tests.

use std::process::Command;
use std::time::{Duration, Instant};

use stage::{
    Heavy, Language, Memory, Scene, for_each_language, open_descriptors, require_debian_package, run,
};

/// What may come and go between two looks.
const MORE_DESCRIPTORS: usize = 8;
const MORE_KIB: u64 = 4 * 1024;

for_each_language! {
    fn five_seconds_lose_and_leak_nothing(language) {
        soak(language, 2, 3);
    }
}

/// The tests of `make soak`.
mod long {
    use super::*;

    macro_rules! long {
        ($($name:ident: $language:expr;)+) => {$(
            #[test]
            #[ignore = "a minute for each language: run by `make soak`"]
            fn $name() {
                let seconds = std::env::var("SOAK_SECONDS").map_or(60, |text| text.parse().unwrap());
                soak($language, 10, seconds);
            }
        )+};
    }

    long! {
        soak_ruby: Language::Ruby;
        soak_python: Language::Python;
        soak_node: Language::Node;
        soak_generic: Language::Generic;
    }
}

/// Warms up, looks, goes on, and looks again.
fn soak(language: Language, warm_up: u64, seconds: u64) {
    require_debian_package("wrk", "/usr/bin/wrk");
    let _turn = Heavy::turn();
    let lines = "keepalive_requests 1000000; passenger_max_request_queue_size 1000;";
    let scene = Scene::with(language, lines, |daemon| daemon.flag("--max-pool-size=2"));
    scene.app_pid();
    wrk(&scene, warm_up);
    let router = scene.daemon.router();
    let apps = scene.daemon.app_pids();
    let watched: Vec<u32> = [router]
        .into_iter()
        .chain(apps.iter().copied())
        .chain(scene.nginx.workers())
        .collect();
    let before: Vec<(usize, u64)> = watched.iter().map(|pid| settled(*pid)).collect();

    wrk(&scene, seconds);
    assert_eq!(scene.daemon.router(), router);
    assert_eq!(scene.daemon.app_pids(), apps);
    for (pid, (descriptors, kib)) in watched.into_iter().zip(before) {
        let (now_descriptors, now_kib) = settled(pid);
        let what = format!("process {pid} of router {router}, apps {apps:?}");
        assert!(
            now_descriptors <= descriptors + MORE_DESCRIPTORS,
            "{what}: {descriptors} to {now_descriptors} descriptors"
        );
        assert!(now_kib <= kib + MORE_KIB, "{what}: {kib} to {now_kib} KiB");
    }
}

/// One run of wrk, none of whose requests may fail.
fn wrk(scene: &Scene, seconds: u64) {
    let url = format!("http://127.0.0.1:{}/", scene.nginx.port());
    let report =
        run(Command::new("wrk").args(["-t2", "-c64", "--timeout", "20s", &format!("-d{seconds}s"), &url]));
    println!("{report}");
    assert!(report.contains("requests in"), "{report}");
    assert!(
        !report.contains("Socket errors") && !report.contains("Non-2xx"),
        "{report}"
    );
    let done: u64 = report
        .lines()
        .find_map(|line| line.trim().split(" requests in").next()?.parse().ok())
        .unwrap();
    assert!(done > 100 * seconds, "only {done} requests in {seconds} s");
}

/// Descriptors and memory, once the connections of a run are closed: the least seen in a second.
fn settled(pid: u32) -> (usize, u64) {
    let until = Instant::now() + Duration::from_secs(1);
    let mut least = (open_descriptors(pid), Memory::resident_kib(pid));
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
        least = (
            least.0.min(open_descriptors(pid)),
            least.1.min(Memory::resident_kib(pid)),
        );
    }
    least
}
