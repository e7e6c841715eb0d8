//! The directive table: what nginx.conf may say comes in, values on a [`LocationConf`](crate::conf::LocationConf) go out.
//!
//! A directive is a line in one of the tables: a name, the contexts it may stand in, and what it means. Lines of
//! [`application`] name a setting and travel to the daemon with each request, those of [`daemon`] once on each
//! connection; lines of [`location`] stay in nginx. The obsolete ones are accepted, so that a predecessor's
//! configuration loads, and say what to do instead.

mod application;
mod daemon;
mod location;
mod obsolete;

use core::ffi::CStr;

use module_core::value::{Kind, Refusal};

use crate::conf::Written;
use crate::ffi::conf::{Arity, ConfContext, Contexts, Directive, Effect};
use crate::ffi::upstream_conf::Slot;

/// What one of our directives means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning {
    /// It is sent to the daemon under this name.
    Setting(&'static str, Kind),
    /// It is kept in nginx.
    Kept(fn(&mut Written, &mut ConfContext<'_>, &[&str]) -> Result<(), Refusal>),
    /// It is for the daemon as a whole, and sent to it under this name on each connection.
    Global(&'static str, Kind),
    /// It has no effect any more, for this reason.
    Obsolete(&'static str),
}

type Line = Directive<Meaning>;

/// Every directive.
pub(crate) static TABLE: [Line; COUNT] = joined();

const COUNT: usize =
    application::TABLE.len() + location::TABLE.len() + daemon::TABLE.len() + obsolete::TABLE.len();

/// The four tables one after another.
const fn joined() -> [Line; COUNT] {
    let tables: [&[Line]; 4] = [application::TABLE, location::TABLE, daemon::TABLE, obsolete::TABLE];
    let mut all = [obsolete(c"", Contexts::HTTP, ""); COUNT];
    let (mut table, mut to) = (0, 0);
    while table < tables.len() {
        let mut from = 0;
        while from < tables[table].len() {
            all[to] = tables[table][from];
            from += 1;
            to += 1;
        }
        table += 1;
    }
    all
}

/// A line for a setting of the app.
const fn setting(name: &'static CStr, sent_as: &'static str, kind: Kind) -> Line {
    let arity = if kind.arity() == 2 { Arity::TWO } else { Arity::ONE };
    let effect = Effect::Ours(Meaning::Setting(sent_as, kind));
    Line { name, contexts: Contexts::EVERYWHERE, arity, effect }
}

/// A line for what is kept in nginx.
const fn kept(
    name: &'static CStr,
    arity: Arity,
    keep: fn(&mut Written, &mut ConfContext<'_>, &[&str]) -> Result<(), Refusal>,
) -> Line {
    Line { name, contexts: Contexts::EVERYWHERE, arity, effect: Effect::Ours(Meaning::Kept(keep)) }
}

/// A line for what nginx's upstream machinery knows itself.
const fn slot(name: &'static CStr, arity: Arity, slot: Slot) -> Line {
    Line { name, contexts: Contexts::EVERYWHERE, arity, effect: Effect::Nginx(slot) }
}

/// A line for what the daemon is told once.
const fn global(name: &'static CStr, sent_as: &'static str, kind: Kind) -> Line {
    let arity = if kind.arity() == 2 { Arity::TWO } else { Arity::ONE };
    Line { name, contexts: Contexts::HTTP, arity, effect: Effect::Ours(Meaning::Global(sent_as, kind)) }
}

/// A line for what has no effect any more.
const fn obsolete(name: &'static CStr, contexts: Contexts, why: &'static str) -> Line {
    Line { name, contexts, arity: Arity::ONE, effect: Effect::Ours(Meaning::Obsolete(why)) }
}
