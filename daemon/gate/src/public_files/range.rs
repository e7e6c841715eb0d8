//! Ranges of bytes: one range of a file. Several ranges are answered with the whole file, as RFC 9110 allows.

/// The part of a file to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    Whole,
    /// `len` is at least 1.
    Part {
        from: u64,
        len: u64,
    },
    /// 416.
    Unsatisfiable,
}

/// Parses the value of `Range` for a file of this length. What is not understood is ignored.
pub(super) fn parse(value: &[u8], len: u64) -> Range {
    let Some(text) = str::from_utf8(value).ok() else { return Range::Whole };
    let Some((unit, ranges)) = text.split_once('=') else { return Range::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return Range::Whole;
    }
    let Some((first, last)) = ranges.trim().split_once('-') else { return Range::Whole };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number that is too large is beyond the end.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first.trim()), number(last.trim())) {
        (Some(from), _) if !last.trim().is_empty() && number(last.trim()).is_none_or(|last| last < from) => {
            Range::Whole
        }
        (Some(from), _) if from >= len => Range::Unsatisfiable,
        (Some(from), last) => {
            let last = last.unwrap_or(u64::MAX).min(len - 1);
            Range::Part { from, len: last - from + 1 }
        }
        (None, Some(suffix)) if first.trim().is_empty() => match suffix.min(len) {
            0 => Range::Unsatisfiable,
            count => Range::Part { from: len - count, len: count },
        },
        _ => Range::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_a_part_of_the_file() {
        let part = |from, len| Range::Part { from, len };
        for (value, wanted) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-99", part(0, 10)),
            ("bytes=3-", part(3, 7)),
            ("bytes=-4", part(6, 4)),
            ("bytes=-40", part(0, 10)),
            ("Bytes = 2-3", part(2, 2)),
            ("bytes=9-99999999999999999999999", part(9, 1)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=99999999999999999999999-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=3-2", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=1-x", Range::Whole),
            ("bytes=-", Range::Whole),
            ("lines=1-2", Range::Whole),
            ("", Range::Whole),
        ] {
            assert_eq!(parse(value.as_bytes(), 10), wanted, "{value}");
        }
        assert_eq!(parse(b"bytes=0-", 0), Range::Unsatisfiable);
    }
}
