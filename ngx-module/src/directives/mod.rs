//! The directive table: what nginx.conf may say comes in, values on a [`LocationConf`](crate::conf::LocationConf) go out.
//!
//! A directive is a line in one of the tables: a name, the contexts it may stand in, and what it means. Lines of
//! [`application`] name a setting and travel to the daemon with each request, those of [`daemon`] once on each
//! connection; lines of [`location`] stay in nginx. The obsolete ones are accepted, so that a predecessor's
//! configuration loads, and say what to do instead.

mod application;
mod daemon;
mod line;
mod location;
mod obsolete;

pub(crate) use line::Meaning;
use line::{Line, obsolete};

use crate::ffi::conf::Contexts;

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
