//! SIGHUP: reads the configuration again. Changes apply at once where they can, the others are logged; if there is an
//! error, nothing changes.

use nix::unistd;

use crate::Supervisor;
use common::config::Options;
use common::link::Notice;

impl Supervisor {
    /// Reads the command line and the configuration file again.
    pub(super) fn reload(&mut self) {
        tracing::info!("received SIGHUP: the configuration is read anew");
        let serving = self.shutdown.is_serving();
        if serving {
            self.manager.reloading();
        }
        let read = self.options.read_again();
        // The daemon keeps no directory from being unmounted.
        if let Err(why) = unistd::chdir("/") {
            tracing::warn!("the working directory stays: {why}");
        }
        match read {
            Ok(options) => self.follow(options),
            Err(mistakes) => {
                for mistake in mistakes {
                    tracing::error!("the configuration stays as it is: {mistake}");
                }
            }
        }
        if serving {
            self.manager.ready(&self.status());
        }
    }

    fn follow(&mut self, options: Options) {
        for key in self.options.fixed_that_differ(&options) {
            tracing::warn!("{key} has changed, which takes effect when the daemon is restarted");
        }
        self.hooks.set_programs(options.hooks);
        self.shutdown.set_limit(options.shutdown_limit);
        self.options.shutdown_limit = options.shutdown_limit;
        self.options.shared = options.shared;
        self.tell_router(&Notice::Options(self.options.shared.clone()), &[]);
        self.tell_router(&Notice::Hooks(self.hooks.of_apps()), &[]);
    }
}
