//! Conversion of single setting values to the types that the router uses; `None` for an invalid value.

use std::time::Duration;

use protocol::settings::Value;

use crate::pool::{Concurrency, RestartHow};
use common::link::Listen;

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Flag(flag) => Some(*flag),
        _ => None,
    }
}

/// Whether the spawn method uses a preloader; also accepts Passenger's alternative names.
pub(super) fn is_smart(value: &Value) -> Option<bool> {
    match text(value)?.as_str() {
        "smart" | "smart-lv2" => Some(true),
        "direct" | "conservative" => Some(false),
        _ => None,
    }
}

pub(super) fn takes_turns(value: &Value) -> Option<bool> {
    match text(value)?.as_str() {
        "round_robin" => Some(true),
        "least_busy" => Some(false),
        _ => None,
    }
}

pub(super) fn listen(value: &Value) -> Option<Listen> {
    match text(value)?.as_str() {
        "port" => Some(Listen::Port),
        "socket" => Some(Listen::Socket),
        "fd" => Some(Listen::Descriptor),
        _ => None,
    }
}

/// Returns a URI that is valid in a request line; none if it is empty.
pub(super) fn uri(value: &Value) -> Option<Option<String>> {
    let uri = text(value)?;
    let is_uri = uri.starts_with('/') && uri.bytes().all(|byte| byte.is_ascii_graphic());
    if uri.is_empty() { Some(None) } else { is_uri.then_some(Some(uri)) }
}

pub(super) fn map(value: &Value) -> Option<Vec<(String, String)>> {
    match value {
        Value::Map(pairs) => Some(pairs.clone()),
        _ => None,
    }
}

pub(super) fn restart_how(rolling: bool) -> RestartHow {
    if rolling { RestartHow::Rolling } else { RestartHow::Blocking }
}

/// Converts MiB to bytes; 0 is no limit.
pub(super) fn mebibytes(value: &Value) -> Option<Option<u64>> {
    let mib: u64 = number(value)?;
    Some((mib > 0).then(|| mib.saturating_mul(1 << 20)))
}

/// Converts seconds to a duration; 0 is no limit.
pub(super) fn limit(value: &Value) -> Option<Option<Duration>> {
    let seconds = number(value)?;
    Some((seconds > 0).then(|| Duration::from_secs(seconds)))
}

pub(super) fn number<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    match value {
        Value::Number(number) => T::try_from(*number).ok(),
        _ => None,
    }
}

/// Returns a status code that can be sent; another number is treated as unset.
pub(super) fn status(value: &Value) -> Option<u16> {
    number(value).filter(|code| (200..=599).contains(code))
}

/// Returns the forced concurrency: -1 leaves it to the kind of app, 0 is unlimited.
pub(super) fn concurrency(value: &Value) -> Option<Option<Concurrency>> {
    match value {
        Value::Number(-1) => Some(None),
        Value::Number(0) => Some(Some(Concurrency::Unlimited)),
        _ => Some(Some(Concurrency::At(number(value)?))),
    }
}
