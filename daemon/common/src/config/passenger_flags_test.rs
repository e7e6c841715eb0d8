//! Tests of docs/DIFFERENCES.md against the code: each flag of Passenger is accepted, or explained on the page.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::Arguments;

/// The flags of Passenger's Flying daemon, agent and watchdog.
const THEIRS: &str = "socket-file daemonize log-file pid-file log-level instance-registry-dir max-pool-size pool-idle-time \
    data-buffer-dir file-descriptor-log-file max-preloader-idle-time passenger-root listen api-listen socket-backlog \
    multi-app-password-file authorize no-user-switching default-user default-group disable-security-update-check \
    security-update-check-proxy disable-anonymous-telemetry anonymous-telemetry-proxy environment app-type startup-file \
    app-start-command spawn-method load-shell-envvars preload-bundler concurrency-model app-thread-count multi-app \
    custom-error-page force-friendly-error-pages disable-friendly-error-pages ruby nodejs python meteor-app-settings \
    app-file-descriptor-ulimit debugger rolling-restarts resist-deployment-errors \
    force-max-concurrent-requests-per-process min-instances memory-limit max-requests max-request-time \
    max-request-queue-size sticky-sessions sticky-sessions-cookie-name sticky-sessions-cookie-attributes \
    vary-turbocache-by-cookie disable-turbocaching no-abort-websockets-on-process-shutdown fd-log-file \
    stat-throttle-rate no-show-version-in-header no-graceful-exit benchmark disable-selfchecks threads cpu-affine \
    core-file-descriptor-ulimit ctl spawn-dir user no-delete-pid-file disable-log-prefix report-file cleanup-pidfile \
    begin-core-args end-core-args";

fn taken() -> BTreeSet<String> {
    let command = Arguments::command();
    let names = command.get_arguments().flat_map(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long().into_iter().chain(aliases).map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

fn explained() -> BTreeSet<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DIFFERENCES.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `--"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn each_flag_of_the_predecessor_is_taken_or_explained() {
    let theirs: BTreeSet<_> = THEIRS.split_whitespace().map(str::to_owned).collect();
    let (taken, explained) = (taken(), explained());
    let both: Vec<_> = taken.intersection(&explained).collect();
    assert!(both.is_empty(), "taken, though the page says otherwise: {both:?}");
    let neither: Vec<_> =
        theirs.iter().filter(|name| !taken.contains(*name) && !explained.contains(*name)).collect();
    assert!(neither.is_empty(), "neither taken nor explained: {neither:?}");
    let invented: Vec<_> = explained.difference(&theirs).collect();
    assert!(invented.is_empty(), "explained, though Passenger has no such flag: {invented:?}");
}
