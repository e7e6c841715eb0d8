//! The directive table: which directives nginx.conf may contain, and how they set a
//! [`LocationConf`](crate::conf::LocationConf).
//!
//! A directive is a line in one of the tables: a name, the contexts in which it is allowed, and its meaning. Directives
//! of [`settings`] are sent to the daemon, those of [`location`] are used in nginx only. The obsolete ones are accepted,
//! so that a configuration for Passenger loads, and log what to do instead.

mod daemon;
mod line;
mod location;
mod obsolete;
mod settings;

pub(crate) use line::Meaning;
use line::{Line, obsolete};

use crate::ffi::conf::Contexts;

/// Every directive.
pub(crate) static TABLE: [Line; COUNT] = joined();

const COUNT: usize =
    settings::TABLE.len() + location::TABLE.len() + daemon::TABLE.len() + obsolete::TABLE.len();

/// Joins the four tables.
const fn joined() -> [Line; COUNT] {
    let tables: [&[Line]; 4] = [settings::TABLE, location::TABLE, daemon::TABLE, obsolete::TABLE];
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
