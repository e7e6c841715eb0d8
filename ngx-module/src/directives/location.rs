//! Directives used in nginx only: where requests go, which of them, and how they are buffered.

use module_core::app_kind::AppType;
use module_core::base_uri;
use module_core::fly_with::FlyWith;
use module_core::request_headers::{Settable, settable};
use module_core::value::{Refusal, flag};
use protocol::request::AppKind;

use super::line::{Line, Meaning, kept, slot};
use crate::conf::{Manifest, Shown, StatusAt, Written};
use crate::ffi::conf::complex_value::ComplexValue;
use crate::ffi::conf::slot::Slot;
use crate::ffi::conf::{Arity, ConfContext, Contexts, Directive, Effect};
use crate::ffi::log::Level;

pub(super) const TABLE: &[Line] = &[
    FLY_WITH,
    DUMP_CONFIG_MANIFEST,
    STATUS,
    HEALTH,
    kept(c"passenger_enabled", Arity::ONE, enabled),
    kept(c"passenger_app_root", Arity::ONE, app_root),
    kept(c"passenger_app_group_name", Arity::ONE, app_group_name),
    kept(c"passenger_app_type", Arity::ONE, app_type),
    kept(c"passenger_app_start_command", Arity::ONE, app_start_command),
    kept(c"passenger_base_uri", Arity::ONE, add_base_uri),
    kept(c"passenger_document_root", Arity::ONE, document_root),
    kept(c"passenger_set_header", Arity::TWO, set_header),
    slot(c"passenger_read_timeout", Arity::ONE, Slot::READ_TIMEOUT),
    slot(c"passenger_buffer_response", Arity::ONE, Slot::BUFFERING),
    slot(c"passenger_buffer_size", Arity::ONE, Slot::BUFFER_SIZE),
    slot(c"passenger_buffers", Arity::TWO, Slot::BUFFERS),
    slot(c"passenger_busy_buffers_size", Arity::ONE, Slot::BUSY_BUFFERS_SIZE),
    slot(c"passenger_request_buffering", Arity::ONE, Slot::REQUEST_BUFFERING),
    slot(c"passenger_intercept_errors", Arity::ONE, Slot::INTERCEPT_ERRORS),
    slot(c"passenger_ignore_client_abort", Arity::ONE, Slot::IGNORE_CLIENT_ABORT),
    slot(c"passenger_ignore_headers", Arity::ONE_OR_MORE, Slot::IGNORE_HEADERS),
    slot(c"passenger_pass_header", Arity::ONE, Slot::PASS_HEADER),
    slot(c"passenger_temp_path", Arity::ONE_TO_FOUR, Slot::TEMP_PATH),
    #[cfg(feature = "panic-probe")]
    kept(c"passenger_panic_in", Arity::ONE, panic_in),
];

/// Passenger accepts it in `http` only. A socket for each server allows several daemons for one nginx.
const FLY_WITH: Line = Directive {
    name: c"passenger_fly_with",
    contexts: Contexts::NOT_IF,
    arity: Arity::ONE,
    effect: Effect::Ours(Meaning::Kept(fly_with)),
};

/// In `http` only: the manifest covers the whole configuration.
const DUMP_CONFIG_MANIFEST: Line = Directive {
    name: c"passenger_dump_config_manifest",
    contexts: Contexts::HTTP,
    arity: Arity::ONE,
    effect: Effect::Ours(Meaning::Kept(dump_config_manifest)),
};

/// In `location` only: the page is independent of apps and conditions.
const STATUS: Line = Directive {
    name: c"passenger_status",
    contexts: Contexts::LOCATION,
    arity: Arity::NONE,
    effect: Effect::Ours(Meaning::Kept(status)),
};

/// In `location` only, as the status page.
const HEALTH: Line = Directive {
    name: c"passenger_health",
    contexts: Contexts::LOCATION,
    arity: Arity::NONE,
    effect: Effect::Ours(Meaning::Kept(health)),
};

type Done = Result<(), Refusal>;

fn fly_with(written: &mut Written, _cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    let target =
        FlyWith::parse(first(args)).map_err(|must| invalid(first(args), "passenger_fly_with", &must))?;
    once(&mut written.fly_with, target)
}

fn dump_config_manifest(written: &mut Written, cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    let path = cf.full_path(first(args))?;
    once(&mut written.manifest, Manifest::new(path))
}

fn status(written: &mut Written, cf: &mut ConfContext<'_>, _args: &[&str]) -> Done {
    once(&mut written.status, StatusAt { shown: Shown::Page, at: cf.position() })
}

fn health(written: &mut Written, cf: &mut ConfContext<'_>, _args: &[&str]) -> Done {
    once(&mut written.status, StatusAt { shown: Shown::Health, at: cf.position() })
}

fn enabled(written: &mut Written, cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    let is_on = flag("passenger_enabled", first(args))?;
    written.enabled_at = cf.position();
    once(&mut written.enabled, is_on)
}

fn app_root(written: &mut Written, cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    let path = cf.full_path(first(args))?;
    once(&mut written.app_root, path)
}

fn app_group_name(written: &mut Written, _cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    once(&mut written.app_group_name, first(args).to_owned())
}

fn app_type(written: &mut Written, cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    if AppType::parse(first(args)) == AppType::Unknown {
        cf.report(
            Level::Warn,
            format_args!(
                "unknown type \"{}\" in \"passenger_app_type\" directive: requests are left to nginx; known are {}",
                first(args),
                AppKind::types().collect::<Vec<_>>().join(", ")
            ),
        );
    }
    once(&mut written.app_type, AppType::parse(first(args)))
}

fn app_start_command(written: &mut Written, _cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    once(&mut written.app_start_command, first(args).to_owned())
}

fn add_base_uri(written: &mut Written, _cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    let base =
        base_uri::normalise(first(args)).map_err(|must| invalid(first(args), "passenger_base_uri", must))?;
    written.base_uris.extend(base);
    Ok(())
}

fn document_root(written: &mut Written, cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    let path = cf.full_path(first(args))?;
    once(&mut written.document_root, path)
}

fn set_header(written: &mut Written, cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    let (name, text) = (first(args), args.get(1).copied().unwrap_or_default());
    let value = ComplexValue::compile(cf, text).map_err(Refusal::Sentence)?;
    match settable(name) {
        Settable::Yes => {}
        // The client's header is never passed on: there is nothing to remove.
        Settable::WithoutEffect if text.is_empty() => {}
        Settable::WithoutEffect => cf.report(
            Level::Warn,
            format_args!(
                "passenger_set_header {name} has no effect: the header belongs to the connection, WebSockets work \
                 without it; remove the line"
            ),
        ),
        Settable::Never => {
            return Err(invalid(name, "passenger_set_header", "must be a header name"));
        }
    }
    let value = (settable(name) == Settable::Yes).then_some(value);
    written.set_headers.push((name.to_owned(), value));
    Ok(())
}

#[cfg(feature = "panic-probe")]
fn panic_in(written: &mut Written, _cf: &mut ConfContext<'_>, args: &[&str]) -> Done {
    once(&mut written.panic_in, first(args).to_owned())
}

fn invalid(value: &str, directive: &str, must: &str) -> Refusal {
    Refusal::Sentence(format!("invalid value \"{value}\" in \"{directive}\": {must}"))
}

fn first<'a>(args: &[&'a str]) -> &'a str {
    args.first().copied().unwrap_or_default()
}

fn once<T>(place: &mut Option<T>, value: T) -> Done {
    if place.is_some() {
        return Err(Refusal::Duplicate);
    }
    *place = Some(value);
    Ok(())
}
