//! A line of a directive table, and how each sort of them is written.

use core::ffi::CStr;

use module_core::value::{Kind, Refusal};

use crate::conf::Written;
use crate::ffi::conf::{Arity, ConfContext, Contexts, Directive, Effect};
use crate::ffi::slot::Slot;

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

/// A line of a table.
pub(super) type Line = Directive<Meaning>;

/// A line for a setting of the app.
pub(super) const fn setting(name: &'static CStr, sent_as: &'static str, kind: Kind) -> Line {
    let arity = if kind.arity() == 2 { Arity::TWO } else { Arity::ONE };
    let effect = Effect::Ours(Meaning::Setting(sent_as, kind));
    Line { name, contexts: Contexts::EVERYWHERE, arity, effect }
}

/// A line for what is kept in nginx.
pub(super) const fn kept(
    name: &'static CStr,
    arity: Arity,
    keep: fn(&mut Written, &mut ConfContext<'_>, &[&str]) -> Result<(), Refusal>,
) -> Line {
    Line { name, contexts: Contexts::EVERYWHERE, arity, effect: Effect::Ours(Meaning::Kept(keep)) }
}

/// A line for what nginx's upstream machinery knows itself.
pub(super) const fn slot(name: &'static CStr, arity: Arity, slot: Slot) -> Line {
    Line { name, contexts: Contexts::EVERYWHERE, arity, effect: Effect::Nginx(slot) }
}

/// A line for what the daemon is told once.
pub(super) const fn global(name: &'static CStr, sent_as: &'static str, kind: Kind) -> Line {
    let arity = if kind.arity() == 2 { Arity::TWO } else { Arity::ONE };
    Line { name, contexts: Contexts::HTTP, arity, effect: Effect::Ours(Meaning::Global(sent_as, kind)) }
}

/// A line for what has no effect any more.
pub(super) const fn obsolete(name: &'static CStr, contexts: Contexts, why: &'static str) -> Line {
    Line { name, contexts, arity: Arity::ONE, effect: Effect::Ours(Meaning::Obsolete(why)) }
}
