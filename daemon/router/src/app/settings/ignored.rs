//! Directives that have no effect and never will, each with the reason that is logged.

const NO_CACHE: &str = "the daemon has no cache of answers; nginx has one, proxy_cache in a server in front";

/// Names without `passenger_`, and reasons.
const DIRECTIVES: [(&str, &str); 8] = [
    ("turbocaching", NO_CACHE),
    ("vary_turbocache_by_cookie", NO_CACHE),
    ("app_rights", "Passenger takes the name and does nothing with it"),
    ("debugger", "an app that wants a debugger loads it itself: gem \"debug\" and its RUBY_DEBUG_OPEN"),
    (
        "direct_instance_request_address",
        "no process opens such a port: passenger-config ask-process asks one through the daemon",
    ),
    ("monitor_log_file", "it was for a monitoring service that is no more"),
    ("spawn_dir", "nothing is written to disk while an app starts"),
    (
        "file_descriptor_log_file",
        "no log is needed to find an open descriptor: ls -l /proc/PID/fd shows them",
    ),
];

/// Returns why the directive of this name has no effect.
pub(crate) fn why(name: &str) -> Option<&'static str> {
    DIRECTIVES.iter().find(|(each, _)| *each == name).map(|(_, why)| *why)
}
