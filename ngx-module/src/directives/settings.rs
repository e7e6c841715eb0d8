//! Directives for the settings that are sent to the daemon, made from the definitions in the protocol.

use core::ffi::CStr;

use protocol::app_settings::{IGNORED_APP_SETTINGS, PROCESS_SETTINGS, ROUTER_SETTINGS};
use protocol::daemon_settings::DAEMON_SETTINGS;
use protocol::setting::Setting;

use super::line::{Line, Meaning, obsolete};
use crate::ffi::conf::{Arity, Contexts, Effect};

/// The definitions, and whether they are settings of the daemon as a whole.
const DEFINITIONS: [(&[Setting], bool); 4] = [
    (PROCESS_SETTINGS, false),
    (ROUTER_SETTINGS, false),
    (IGNORED_APP_SETTINGS, false),
    (DAEMON_SETTINGS, true),
];

/// A line for each name of each setting.
pub(super) const TABLE: &[Line] = &lines();

const COUNT: usize = count();

const fn count() -> usize {
    let (mut count, mut table) = (0, 0);
    while table < DEFINITIONS.len() {
        let (settings, _) = DEFINITIONS[table];
        let mut at = 0;
        while at < settings.len() {
            count += 1 + settings[at].aliases.len();
            at += 1;
        }
        table += 1;
    }
    count
}

const fn lines() -> [Line; COUNT] {
    let mut lines = [obsolete(c"", Contexts::HTTP, ""); COUNT];
    let (mut to, mut table) = (0, 0);
    while table < DEFINITIONS.len() {
        let (settings, is_global) = DEFINITIONS[table];
        let mut at = 0;
        while at < settings.len() {
            let setting = &settings[at];
            lines[to] = line(setting, setting.directive, is_global);
            to += 1;
            let mut alias = 0;
            while alias < setting.aliases.len() {
                lines[to] = line(setting, setting.aliases[alias], is_global);
                to += 1;
                alias += 1;
            }
            at += 1;
        }
        table += 1;
    }
    lines
}

const fn line(setting: &'static Setting, name: &'static CStr, is_global: bool) -> Line {
    let arity = if setting.of_type.arity() == 2 { Arity::TWO } else { Arity::ONE };
    let (contexts, meaning) = if is_global {
        (Contexts::HTTP, Meaning::Global(setting.name, setting.of_type))
    } else {
        (Contexts::EVERYWHERE, Meaning::Setting(setting.name, setting.of_type))
    };
    Line { name, contexts, arity, effect: Effect::Ours(meaning) }
}
