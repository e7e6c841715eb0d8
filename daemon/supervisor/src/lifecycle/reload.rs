//! SIGHUP: reads the configuration again. If there is an error, nothing changes.

use nix::unistd;

use common::config::Options;

/// Reads the command line and the configuration file again. Logs errors, and changes that need a restart.
pub(crate) fn read_again(current: &Options) -> Option<Options> {
    let read = current.read_again();
    // The daemon keeps no directory from being unmounted.
    if let Err(why) = unistd::chdir("/") {
        tracing::warn!("cannot change the working directory: {why}");
    }
    let options = read.map_err(|mistakes| {
        mistakes.iter().for_each(|mistake| tracing::error!("the configuration is unchanged: {mistake}"));
    });
    let options = options.ok()?;
    for key in current.fixed_that_differ(&options) {
        tracing::warn!("{key} has changed, which takes effect when the daemon is restarted");
    }
    Some(options)
}
