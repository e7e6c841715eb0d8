//! Conditional requests: RFC 9110, section 13, with nginx's entity tags and its exact comparison of dates.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::request::Head;

/// The result of a request's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Met,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Returns the entity tag, in nginx's form: time of the last change and length, in hexadecimal digits.
pub(super) fn etag(modified: SystemTime, len: u64) -> String {
    format!("\"{:x}-{len:x}\"", seconds(modified))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Checks the conditions of a request for a file.
pub(super) fn check(head: &Head, etag: &str, modified: SystemTime) -> Condition {
    let has = |name: &str| head.values(name).next().is_some();
    if has("if-match") {
        if !lists(head, "if-match", etag, false) {
            return Condition::Failed;
        }
    } else if let Some(limit) = date(head, "if-unmodified-since")
        && seconds(modified) > limit
    {
        return Condition::Failed;
    }
    if has("if-none-match") {
        let is_known = lists(head, "if-none-match", etag, true);
        return if is_known { Condition::NotModified } else { Condition::Met };
    }
    match date(head, "if-modified-since") {
        Some(known) if known == seconds(modified) => Condition::NotModified,
        _ => Condition::Met,
    }
}

/// Whether `If-Range` allows a part of the file to be sent.
pub(super) fn range_applies(head: &Head, etag: &str, modified: SystemTime) -> bool {
    match head.only("if-range") {
        None => head.values("if-range").next().is_none(),
        Some(value) if value.starts_with(b"\"") => value == etag.as_bytes(),
        Some(_) => date(head, "if-range") == Some(seconds(modified)),
    }
}

/// Whether the header lists the tag, or every tag.
fn lists(head: &Head, name: &str, etag: &str, weak: bool) -> bool {
    let tags = head.values(name).flat_map(|value| value.split(|byte| *byte == b','));
    tags.map(<[u8]>::trim_ascii).any(|tag| {
        let tag = if weak { tag.strip_prefix(b"W/").unwrap_or(tag) } else { tag };
        tag == b"*" || tag == etag.as_bytes()
    })
}

fn date(head: &Head, name: &str) -> Option<u64> {
    let text = str::from_utf8(head.only(name)?).ok()?;
    httpdate::parse_http_date(text).ok().map(seconds)
}
