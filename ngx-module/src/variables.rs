//! Variables for access logs: how a request was served.

use module_core::bytes::{Decimal, ShortText};
use module_core::request_id::{HEADER, client_id};
use module_core::served::ServedBy;

use crate::ffi::request::variables::{Variable, VariableText, Variables};
use crate::ffi::request::{Request, served};

/// The module's variables.
#[derive(Debug)]
pub(crate) struct PassengerVariables;

impl Variables for PassengerVariables {
    fn table() -> &'static [Variable] {
        &TABLE
    }
}

static TABLE: [Variable; if cfg!(feature = "panic-probe") { 6 } else { 5 }] = [
    Variable {
        name: c"passenger_app_group",
        value: |request| Some(VariableText::Kept(&served::of(request)?.location.group)),
    },
    Variable {
        name: c"passenger_process_pid",
        value: |request| Some(number(served_by(request)?.pid.into())),
    },
    Variable { name: c"passenger_queue_time", value: |request| Some(seconds(served_by(request)?.queue_us)) },
    Variable { name: c"passenger_app_time", value: |request| Some(seconds(served_by(request)?.app_us)) },
    Variable { name: c"passenger_request_id", value: |request| Some(request_id(request)) },
    #[cfg(feature = "panic-probe")]
    Variable { name: c"passenger_allocations", value: |_| Some(number(crate::ffi::allocations::count())) },
];

fn served_by(request: Request<'_>) -> Option<ServedBy> {
    served::of(request)?.process()
}

fn number(number: u64) -> VariableText<'static> {
    VariableText::Short(ShortText::of(&[Decimal::of(number).as_ref()]))
}

/// Formats seconds with milliseconds, as nginx writes `$upstream_response_time`.
fn seconds(microseconds: u64) -> VariableText<'static> {
    let milliseconds = microseconds.saturating_add(500) / 1000;
    let (seconds, rest) = (Decimal::of(milliseconds / 1000), Decimal::of(1000 + milliseconds % 1000));
    // The first digit keeps the zeros after it.
    let rest = rest.as_ref().get(1..).unwrap_or_default();
    VariableText::Short(ShortText::of(&[seconds.as_ref(), b".", rest]))
}

/// Returns the request ID: the client's, if it is acceptable, or a generated one.
fn request_id(request: Request<'_>) -> VariableText<'_> {
    let theirs = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case(HEADER.as_bytes()));
    match client_id(theirs.map(|(_, value)| value)) {
        Some(id) => VariableText::Kept(id),
        None => VariableText::Short(ShortText::of(&[&served::request_id(request)])),
    }
}
