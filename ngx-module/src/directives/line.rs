//! A line of a directive table, and constructors of each kind.

use core::ffi::CStr;

use module_core::value::Refusal;
use protocol::setting_type::SettingType;

use crate::conf::Written;
use crate::ffi::conf::slot::Slot;
use crate::ffi::conf::{Arity, ConfContext, Contexts, Directive, Effect};

/// The meaning of a directive of this module.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning {
    /// It is sent to the daemon with each request, under this name.
    Setting(&'static str, SettingType),
    /// It is used in nginx only.
    Kept(fn(&mut Written, &mut ConfContext<'_>, &[&str]) -> Result<(), Refusal>),
    /// It is a daemon-wide setting, sent under this name on each connection.
    Global(&'static str, SettingType),
    /// It no longer has an effect, for this reason.
    Obsolete(&'static str),
}

/// A line of a table.
pub(super) type Line = Directive<Meaning>;

/// Returns a line for a directive used in nginx only.
pub(super) const fn kept(
    name: &'static CStr,
    arity: Arity,
    keep: fn(&mut Written, &mut ConfContext<'_>, &[&str]) -> Result<(), Refusal>,
) -> Line {
    Line { name, contexts: Contexts::EVERYWHERE, arity, effect: Effect::Ours(Meaning::Kept(keep)) }
}

/// Returns a line for a directive of nginx's upstream module.
pub(super) const fn slot(name: &'static CStr, arity: Arity, slot: Slot) -> Line {
    Line { name, contexts: Contexts::EVERYWHERE, arity, effect: Effect::Nginx(slot) }
}

/// Returns a line for a directive without effect.
pub(super) const fn obsolete(name: &'static CStr, contexts: Contexts, why: &'static str) -> Line {
    Line { name, contexts, arity: Arity::ONE, effect: Effect::Ours(Meaning::Obsolete(why)) }
}
