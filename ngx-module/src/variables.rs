//! Variables for access logs: how a request was served.

use std::borrow::Cow;

use module_core::request_id::{HEADER, client_id};
use module_core::served::ServedBy;

use crate::ffi::request::variables::{Variable, Variables};
use crate::ffi::request::{Request, served};

/// The module's variables.
#[derive(Debug)]
pub(crate) struct PassengerVariables;

impl Variables for PassengerVariables {
    fn table() -> &'static [Variable] {
        &TABLE
    }
}

static TABLE: [Variable; 5] = [
    Variable {
        name: c"passenger_app_group",
        value: |request| served::of(request).map(|served| served.location.group.clone()),
    },
    Variable {
        name: c"passenger_process_pid",
        value: |request| served_by(request).map(|process| process.pid.to_string().into_bytes()),
    },
    Variable {
        name: c"passenger_queue_time",
        value: |request| served_by(request).map(|process| seconds(process.queue_us)),
    },
    Variable {
        name: c"passenger_app_time",
        value: |request| served_by(request).map(|process| seconds(process.app_us)),
    },
    Variable { name: c"passenger_request_id", value: |request| Some(request_id(request).into_owned()) },
];

fn served_by(request: Request<'_>) -> Option<ServedBy> {
    served::of(request)?.process()
}

/// Formats seconds with milliseconds, as nginx writes `$upstream_response_time`.
fn seconds(microseconds: u64) -> Vec<u8> {
    let milliseconds = microseconds.saturating_add(500) / 1000;
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000).into_bytes()
}

/// Returns the request ID: the client's, if it is acceptable, or a generated one.
pub(crate) fn request_id(request: Request<'_>) -> Cow<'_, [u8]> {
    let theirs = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case(HEADER.as_bytes()));
    match client_id(theirs.map(|(_, value)| value)) {
        Some(name) => name.into(),
        None => served::request_id(request).to_vec().into(),
    }
}
