//! Directives for the daemon as a whole that are not settings: pre-started URLs, and those without effect.

use module_core::pre_start::Url;
use module_core::value::Refusal;

use super::line::{Line, Meaning, obsolete};
use crate::conf::Written;
use crate::ffi::conf::main_conf;
use crate::ffi::conf::{Arity, ConfContext, Contexts, Directive, Effect};

const HTTP: Contexts = Contexts::HTTP;
const STARTS_NOTHING: &str = "nginx starts no daemon";
const NO_PHONING_HOME: &str = "the daemon opens no outgoing connections";
const NO_PANEL: &str = "there is no admin panel: use passenger-status";

/// The daemon starts the application that serves the URL as soon as it receives the roster.
const PRE_START: Line = Directive {
    name: c"passenger_pre_start",
    contexts: HTTP,
    arity: Arity::ONE,
    effect: Effect::Ours(Meaning::Kept(pre_start)),
};

fn pre_start(_: &mut Written, cf: &mut ConfContext<'_>, args: &[&str]) -> Result<(), Refusal> {
    let value = args.first().copied().unwrap_or_default();
    let url = Url::parse(value).map_err(|why| {
        Refusal::Sentence(format!("invalid value \"{value}\" in \"passenger_pre_start\": {why}"))
    })?;
    main_conf::with(cf, |conf| conf.pre_starts.add_url(url)).map_err(Refusal::Sentence)
}

pub(super) const TABLE: &[Line] = &[
    PRE_START,
    obsolete(c"passenger_root", HTTP, STARTS_NOTHING),
    obsolete(c"passenger_abort_on_startup_error", HTTP, STARTS_NOTHING),
    obsolete(c"passenger_disable_security_update_check", HTTP, NO_PHONING_HOME),
    obsolete(c"passenger_security_update_check_proxy", HTTP, NO_PHONING_HOME),
    obsolete(c"passenger_disable_anonymous_telemetry", HTTP, NO_PHONING_HOME),
    obsolete(c"passenger_anonymous_telemetry_proxy", HTTP, NO_PHONING_HOME),
    obsolete(c"passenger_admin_panel_url", HTTP, NO_PANEL),
    obsolete(c"passenger_admin_panel_auth_type", HTTP, NO_PANEL),
    obsolete(c"passenger_admin_panel_username", HTTP, NO_PANEL),
    obsolete(c"passenger_admin_panel_password", HTTP, NO_PANEL),
];
