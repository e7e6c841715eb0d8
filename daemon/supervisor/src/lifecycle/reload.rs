//! SIGHUP: reads the configuration again. If there is an error, nothing changes.

use nix::unistd;

use common::config::Options;

/// Reads the command line and the configuration file again. Logs errors, and changes that need a restart. The error is
/// the first of those logged.
pub(crate) fn read_again(current: &Options) -> Result<Options, String> {
    let read = current.read_again();
    // The daemon keeps no directory from being unmounted.
    if let Err(why) = unistd::chdir("/") {
        tracing::warn!("cannot change the working directory: {why}");
    }
    let options = read.map_err(|mistakes| {
        let reports: Vec<_> =
            mistakes.iter().map(|mistake| format!("the configuration is unchanged: {mistake}")).collect();
        reports.iter().for_each(|report| tracing::error!("{report}"));
        reports.into_iter().next().unwrap_or_default()
    });
    let options = options?;
    for key in current.fixed_that_differ(&options) {
        tracing::warn!("{key} has changed, which takes effect when the daemon is restarted");
    }
    Ok(options)
}
