//! Load of 64 connections: nothing fails, and descriptors and memory do not grow.
//!
//! Five seconds are always run. `make soak` sets `SOAK_SECONDS` (60 by default there) and runs the ignored tests.

use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use test_support::{
    Exclusive, Language, Memory, OneApp, eventually, for_each_language, open_descriptors,
    require_debian_package, run,
};

/// What may come and go between two looks.
const MORE_DESCRIPTORS: usize = 8;
const MORE_KIB: u64 = 4 * 1024;
/// V8 makes room for short-lived objects as load asks for it, up to 48 MiB and whenever it likes; with this bound on
/// that room, what still grows is a leak. Plain Node behind `proxy_pass` behaves the same with and without it.
const STEADY_NODE: &str = "passenger_env_var NODE_OPTIONS --max-semi-space-size=1;";

for_each_language! {
    fn five_seconds_of_load_lose_and_leak_nothing(language) {
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

/// What a process held at a moment of the run.
struct Sample {
    at: Duration,
    descriptors: usize,
    kib: u64,
}

/// One run of load; what each process holds in its last second must be what it held in the last second of warming up.
fn soak(language: Language, warm_up: u64, seconds: u64) {
    require_debian_package("wrk", "/usr/bin/wrk");
    let _exclusive = Exclusive::lock();
    let lines =
        "keepalive_requests 100000000; passenger_max_request_queue_size 1000; passenger_min_instances 2;";
    let setup =
        OneApp::with(language, &format!("{lines} {STEADY_NODE}"), |daemon| daemon.flag("--max-pool-size=2"));
    setup.app_pid();
    eventually("both processes run", || setup.daemon.app_pids().len() == 2);
    let router = setup.daemon.router();
    let apps = setup.daemon.app_pids();
    let watched: Vec<u32> =
        [router].into_iter().chain(apps.iter().copied()).chain(setup.nginx.workers()).collect();

    let (report, samples) = load(&setup, &watched, warm_up + seconds);
    check_report(&report, warm_up + seconds);
    assert_eq!(setup.daemon.router(), router);
    assert_eq!(setup.daemon.app_pids(), apps);
    for (pid, samples) in watched.iter().zip(samples) {
        let end = samples.last().map_or(Duration::ZERO, |sample| sample.at);
        let early = peak(&samples, Duration::from_secs(warm_up));
        let late = peak(&samples, end);
        let what = format!("process {pid} of router {router}, apps {apps:?}");
        assert!(late.0 <= early.0 + MORE_DESCRIPTORS, "{what}: {} to {} descriptors", early.0, late.0);
        assert!(late.1 <= early.1 + MORE_KIB, "{what}: {} to {} KiB", early.1, late.1);
    }
}

/// Runs wrk, and looks at every process until it ends.
fn load(setup: &OneApp, watched: &[u32], seconds: u64) -> (String, Vec<Vec<Sample>>) {
    let url = format!("http://127.0.0.1:{}/", setup.nginx.port());
    let mut wrk = Command::new("wrk");
    wrk.args(["-t2", "-c64", "--timeout", "20s", &format!("-d{seconds}s"), &url]);
    let (tell, ended) = mpsc::channel();
    std::thread::spawn(move || tell.send(run(&mut wrk)));
    let began = Instant::now();
    let mut samples: Vec<Vec<Sample>> = watched.iter().map(|_| Vec::new()).collect();
    loop {
        match ended.recv_timeout(Duration::from_millis(50)) {
            Ok(report) => return (report, samples),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("wrk failed"),
        }
        // The last half second of wrk closes connections.
        if began.elapsed() + Duration::from_millis(500) > Duration::from_secs(seconds) {
            continue;
        }
        for (pid, samples) in watched.iter().zip(&mut samples) {
            let (descriptors, kib) = (open_descriptors(*pid), Memory::resident_kib(*pid));
            samples.push(Sample { at: began.elapsed(), descriptors, kib });
        }
    }
}

/// Most descriptors and memory seen in the second before `until`.
fn peak(samples: &[Sample], until: Duration) -> (usize, u64) {
    let from = until.saturating_sub(Duration::from_secs(1));
    let within = samples.iter().filter(|sample| sample.at >= from && sample.at <= until);
    within
        .fold((0, 0), |(descriptors, kib), sample| (descriptors.max(sample.descriptors), kib.max(sample.kib)))
}

/// No request may have failed.
fn check_report(report: &str, seconds: u64) {
    println!("{report}");
    assert!(report.contains("requests in"), "{report}");
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    let done: u64 =
        report.lines().find_map(|line| line.trim().split(" requests in").next()?.parse().ok()).unwrap();
    assert!(done > 100 * seconds, "only {done} requests in {seconds} s");
}
