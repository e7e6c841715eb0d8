//! Levels of the configuration, which nginx creates, fills and merges: a location's effective settings are prepared for
//! requests and its handler is installed.

use std::ffi::OsStr;
use std::fmt::Display;
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::from_ref;
use std::rc::Rc;

use module_core::app_location::exposed_source;
use module_core::fly_with::FlyWith;
use module_core::manifest::{self, Statement};
use module_core::roster::{self, ConfiguredApps};
use module_core::value::{Refusal, parse, parse_global};

use crate::conf::{Application, LocationConf, Shown, StatusAt, Written, greeting};
use crate::directives::{self, Meaning};
use crate::ffi::conf::pre_start::Blocks;
use crate::ffi::conf::upstream_conf::UpstreamConf;
use crate::ffi::conf::{
    ConfContext, Directive, Effect, Location, core_conf, global_conf, main_conf, server_names, upstream_block,
};
use crate::ffi::log::Level;
use crate::ffi::request::content;
use crate::handler::Passenger;
use crate::health::{self, Health};
use crate::status::StatusPage;

impl Location for LocationConf {
    type Meaning = Meaning;

    const UPSTREAM_OFFSET: usize = offset_of!(Self, upstream);

    fn table() -> &'static [Directive<Meaning>] {
        &directives::TABLE
    }

    fn unset() -> Self {
        Self {
            upstream: UpstreamConf::unset(),
            written: Written::default(),
            statements: Vec::new(),
            application: None,
            status_greeting: Vec::new(),
            server_names: Vec::new(),
        }
    }

    fn apply(
        &mut self,
        directive: &'static Directive<Meaning>,
        cf: &mut ConfContext<'_>,
        args: &[&str],
    ) -> Result<(), Refusal> {
        let Effect::Ours(meaning) = directive.effect else {
            return Ok(());
        };
        match meaning {
            Meaning::Setting(sent_as, of_type) => {
                warn_of_own_user(sent_as, directive, cf, args);
                self.written.settings.state(sent_as, parse(of_type, directive.name(), args)?)
            }
            Meaning::Kept(keep) => {
                keep(&mut self.written, cf, args)?;
                self.make_upstream_block(cf)
            }
            Meaning::Global(sent_as, of_type) => {
                self.written.globals.state(sent_as, parse_global(of_type, directive.name(), args)?)
            }
            Meaning::Obsolete(why) => {
                cf.report(
                    Level::Warn,
                    format_args!("\"{}\" is obsolete and has no effect: {why}", directive.name()),
                );
                Ok(())
            }
        }
    }

    fn note(&mut self, statement: Statement) {
        self.statements.push(statement);
    }

    fn merge(&mut self, outer: &mut Self, cf: &mut ConfContext<'_>) -> Result<(), String> {
        self.written.inherit(&outer.written);
        self.upstream.merge(&mut outer.upstream, cf)?;
        if self.written.settings.is_on("buffer_upload") {
            // Which side reads the body while no process is free makes no difference to the app, and nginx does it
            // anyway.
            self.upstream.buffer_requests();
        }
        let is_on = self.written.enabled == Some(true);
        let mut apps = None;
        match self.status(outer, cf) {
            Some(status) => self.show_status(cf, &status)?,
            None if is_on => apps = self.enable(cf)?,
            None => {}
        }
        let blocks = Blocks { location: from_ref(self).addr(), outer: from_ref(outer).addr() };
        main_conf::with(cf, |conf| conf.pre_starts.add_location(cf, blocks, apps))?;
        self.add_to_manifest(|| core_conf::block(cf));
        Ok(())
    }

    fn finish(&mut self, cf: &mut ConfContext<'_>) {
        if let Ok(pre_starts) = main_conf::with(cf, |conf| std::mem::take(&mut conf.pre_starts)) {
            pre_starts.mark_apps(cf);
        }
        self.add_to_manifest(|| Some(manifest::Block::Http));
        if let Some(manifest) = &self.written.manifest
            && let Err(why) = manifest.write()
        {
            cf.report(Level::Error, format_args!("passenger_dump_config_manifest: {why}"));
        }
    }
}

/// Logs a warning: an application with the user of nginx's workers could control the daemon, which refuses to start it.
fn warn_of_own_user(sent_as: &str, directive: &Directive<Meaning>, cf: &mut ConfContext<'_>, args: &[&str]) {
    if ["user", "group"].contains(&sent_as) && args == [global_conf::worker_user(cf)] {
        cf.report(
            Level::Warn,
            format_args!(
                "\"{}\" is the user of nginx's workers: an application that runs as this user could control the \
                 daemon, so the daemon refuses to start it unless --allow-app-users permits it",
                directive.name()
            ),
        );
    }
}

/// Logs a warning, once for each directory: nginx serves every file of a public directory.
fn warn_of_exposed_source(cf: &mut ConfContext<'_>, at: &str) -> Result<(), String> {
    let (_, roster::Files::Root(dir) | roster::Files::Alias(dir)) = core_conf::files(cf) else {
        return Ok(());
    };
    let dir = PathBuf::from(OsStr::from_bytes(dir));
    let is_new = main_conf::with(cf, |conf| conf.checked_dirs.insert(dir.clone()))?;
    if let Some(file) = is_new.then(|| exposed_source(&dir)).flatten() {
        cf.report(
            Level::Warn,
            format_args!(
                "passenger_enabled is on{at}, and the root {dir} contains the source of an application ({file}), which \
                 visitors can download: let \"root\" be a directory of public files, even if it is empty, such as \
                 {dir}/public; noticed at the end of the block",
                dir = dir.display()
            ),
        );
    }
    Ok(())
}

impl LocationConf {
    /// Whether the location shows the status page or the daemon's health. Its handler also serves an `if` in it.
    fn status(&mut self, outer: &Self, cf: &ConfContext<'_>) -> Option<StatusAt> {
        let of_location = outer.written.status.as_ref();
        if let Some(status) = of_location.filter(|_| core_conf::is_inside_location(cf)) {
            self.written.status = Some(status.clone());
        }
        self.written.status.clone()
    }

    /// Installs the status page or the daemon's health, which takes precedence over an application that is enabled here.
    fn show_status(&mut self, cf: &mut ConfContext<'_>, status: &StatusAt) -> Result<(), String> {
        self.find_upstream_block(cf, status)?;
        self.status_greeting =
            greeting(&self.written.globals, main_conf::with(cf, |conf| conf.instance.clone())?)?;
        self.server_names = server_names::of_block(cf);
        let is_ours = match status.shown {
            Shown::Page => content::install::<StatusPage>(cf),
            Shown::Health => {
                self.upstream.limit_times(health::TIMEOUT);
                content::install::<Health>(cf)
            }
        };
        if is_ours {
            core_conf::redirect_to_final_slash(cf);
        } else if !core_conf::is_inside_location(cf) {
            return Err(format!(
                "{status}, but another directive serves this location; use a separate location"
            ));
        }
        Ok(())
    }

    /// Prepares the location for requests. Returns its applications, unless another handler serves it.
    fn enable(&mut self, cf: &mut ConfContext<'_>) -> Result<Option<Rc<ConfiguredApps>>, String> {
        let at = self.written.enabled_at.as_ref().map(|at| format!(" in {at}")).unwrap_or_default();
        self.find_upstream_block(cf, &format_args!("passenger_enabled is on{at}"))?;
        let mut application =
            Application::of(&self.written, main_conf::with(cf, |conf| conf.instance.clone())?)?;
        application.app.varies = matches!(core_conf::files(cf).1, roster::Files::PerRequest);
        let mut apps = None;
        if let Some(upstream) = self.upstream.upstream() {
            let configured = self.configured_apps(&application, cf);
            let greeting = &application.greeting;
            apps = Some(main_conf::with(cf, |conf| conf.worker_tasks.add(upstream, greeting, configured))?);
        }
        self.application = Some(application);
        if !content::install::<Passenger>(cf) {
            return Ok(None);
        }
        core_conf::redirect_to_final_slash(cf);
        warn_of_exposed_source(cf, &at)?;
        Ok(apps)
    }

    fn configured_apps(&self, application: &Application, cf: &ConfContext<'_>) -> ConfiguredApps {
        let (name, files) = core_conf::files(cf);
        let location = roster::Location {
            name,
            files,
            base_uris: &self.written.base_uris,
            document_root: self.written.document_root.as_deref(),
        };
        ConfiguredApps::new(
            application.app.clone(),
            &self.written.settings,
            application.settings.clone(),
            location,
        )
    }

    /// Adds this level to the manifest, after which its directives are not needed. nginx is asked for the block's name
    /// only if it is needed, as the layout of its structures has not been checked yet.
    fn add_to_manifest(&mut self, block: impl FnOnce() -> Option<manifest::Block>) {
        let statements = std::mem::take(&mut self.statements);
        if let Some(manifest) = &self.written.manifest
            && let Some(block) = block()
        {
            let effective = self.application.is_some().then(|| self.written.effective());
            manifest.add(manifest::Level { block, statements, effective });
        }
    }

    /// Creates the block for a socket while directives are read: it must exist before nginx initialises all blocks.
    fn make_upstream_block(&mut self, cf: &mut ConfContext<'_>) -> Result<(), Refusal> {
        if let Some(FlyWith::Socket(path)) = &self.written.fly_with
            && self.upstream.upstream().is_none()
        {
            let upstream = upstream_block::for_socket(cf, path).map_err(Refusal::Sentence)?;
            self.upstream.set_upstream(upstream);
        }
        Ok(())
    }

    /// Finds a named block when the whole configuration has been read, as it may be defined after its use.
    fn find_upstream_block(
        &mut self,
        cf: &mut ConfContext<'_>,
        wanted_by: &impl Display,
    ) -> Result<(), String> {
        match &self.written.fly_with {
            Some(FlyWith::Socket(_)) => Ok(()),
            Some(FlyWith::Upstream(name)) => {
                let upstream = upstream_block::named(cf, name).ok_or_else(|| {
                    format!(
                        "invalid value \"{name}\" in \"passenger_fly_with\": must be the name of an upstream block or \
                         the absolute path of a socket"
                    )
                })?;
                self.upstream.set_upstream(upstream);
                Ok(())
            }
            None => Err(format!(
                "{wanted_by}, but passenger_fly_with is not configured; add \
                 \"passenger_fly_with unix:/run/flying-passenger.sock;\" to the http block"
            )),
        }
    }
}
