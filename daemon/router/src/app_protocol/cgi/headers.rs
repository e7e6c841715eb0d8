//! Request headers as CGI variables: `HTTP_…`, with the values of repeated headers joined.
//!
//! Nearly every request has each header once. Headers are therefore written one after another; only when a name may
//! have occurred before, all of them are written again with a comparison of the names.

use protocol::pairs::Pairs;

const PREFIX: &[u8] = b"HTTP_";

/// What each byte of a header name becomes; 0 if names with it are left out.
const OF_NAME: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = match byte as u8 {
            b'-' => b'_',
            other if other.is_ascii_alphanumeric() => other.to_ascii_uppercase(),
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// Writes every header except those that have their own variable; repeated ones are joined. Names with characters other
/// than letters, digits and `-` are left out: `X_Forwarded_For` must not be taken for `X-Forwarded-For`.
pub(super) fn write(headers: Pairs<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut seen = SeenNames::default();
    for (name, value) in headers {
        if is_ordinary(name, value, out) {
            if seen.add(name) {
                out.truncate(start);
                return write_joined(headers, out);
            }
            if put_name(name, out) {
                out.extend_from_slice(value);
                out.push(0);
            }
        }
    }
}

/// The same, where names may occur several times.
fn write_joined(headers: Pairs<'_>, out: &mut Vec<u8>) {
    for (at, (name, value)) in headers.iter().enumerate() {
        let has_name = |(other, _): &(&[u8], &[u8])| other.eq_ignore_ascii_case(name);
        // A header whose name has occurred was written together with the first one.
        if !is_ordinary(name, value, out) || headers.iter().take(at).any(|other| has_name(&other)) {
            continue;
        }
        if put_name(name, out) {
            out.extend_from_slice(value);
            let separator: &[u8] = if name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b"," };
            for (_, value) in headers.iter().skip(at + 1).filter(has_name) {
                out.extend_from_slice(separator);
                out.extend_from_slice(value);
            }
            out.push(0);
        }
    }
}

/// Whether a header is not one that is left out or written here under its own name.
fn is_ordinary(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> bool {
    match name.len() {
        12 if name.eq_ignore_ascii_case(b"content-type") => {
            out.extend_from_slice(b"CONTENT_TYPE\0");
            out.extend_from_slice(value);
            out.push(0);
            false
        }
        14 => !name.eq_ignore_ascii_case(b"content-length"),
        10 => !name.eq_ignore_ascii_case(b"connection"),
        _ => true,
    }
}

/// Writes the name of a header's variable; false, and nothing is written, if the header is left out.
fn put_name(name: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.extend_from_slice(PREFIX);
    let mut is_written = true;
    out.extend(name.iter().map(|byte| {
        let written = OF_NAME[usize::from(*byte)];
        is_written &= written != 0;
        written
    }));
    if is_written {
        out.push(0);
    } else {
        out.truncate(start);
    }
    is_written
}

/// A Bloom filter of header names.
#[derive(Default)]
struct SeenNames([u64; 16]);

impl SeenNames {
    /// Adds a name; false if it was certainly not added before. Most names differ in their length or last eight bytes.
    fn add(&mut self, name: &[u8]) -> bool {
        const LOWER: u64 = 0x2020_2020_2020_2020;
        let tail = match name.last_chunk() {
            Some(tail) => u64::from_le_bytes(*tail),
            None => name.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        // The multiplier of a Fibonacci hash; its upper bits depend on every byte.
        let sum = ((tail | LOWER) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        let (word, bit) = (&mut self.0[(sum / 64) as usize], 1 << (sum % 64));
        let may_be_known = *word & bit != 0;
        *word |= bit;
        may_be_known
    }
}

#[cfg(test)]
mod tests {
    use protocol::pairs;

    use super::*;

    fn written(headers: &[(&str, &str)]) -> String {
        let (mut block, mut out) = (Vec::new(), b"X\0".to_vec());
        headers.iter().for_each(|(name, value)| pairs::put(&mut block, name.as_bytes(), value.as_bytes()));
        write(Pairs::parse(&block).unwrap(), &mut out);
        String::from_utf8(out).unwrap().replace('\0', " ")
    }

    #[test]
    fn a_repeated_header_takes_nothing_from_the_others() {
        let once =
            [("Content-Type", "a/b"), ("A.B", "x"), ("Accept", "1"), ("Connection", "close"), ("X-B", "2")];
        assert_eq!(written(&once), "X CONTENT_TYPE a/b HTTP_ACCEPT 1 HTTP_X_B 2 ");
        let twice =
            [&once[..], &[("content-length", "9"), ("aCCept", "3"), ("A.B", "y"), ("X-C", "4")]].concat();
        assert_eq!(written(&twice), "X CONTENT_TYPE a/b HTTP_ACCEPT 1,3 HTTP_X_B 2 HTTP_X_C 4 ");
    }

    #[test]
    fn names_with_the_same_end_are_different() {
        let names = [("X-Forwarded-Host", "1"), ("Y-Forwarded-Host", "2"), ("x-forwarded-host", "3")];
        assert_eq!(written(&names), "X HTTP_X_FORWARDED_HOST 1,3 HTTP_Y_FORWARDED_HOST 2 ");
    }

    #[test]
    fn headers_of_a_browser_need_no_comparison() {
        let mut seen = SeenNames::default();
        let names = [
            "Host",
            "User-Agent",
            "Accept",
            "Accept-Language",
            "Accept-Encoding",
            "Referer",
            "Origin",
            "Cookie",
            "Sec-Fetch-Dest",
            "Sec-Fetch-Mode",
            "Sec-Fetch-Site",
            "Sec-Fetch-User",
            "Sec-CH-UA",
            "Sec-CH-UA-Mobile",
            "Sec-CH-UA-Platform",
            "Upgrade-Insecure-Requests",
            "If-None-Match",
            "If-Modified-Since",
            "Cache-Control",
            "Pragma",
            "Priority",
            "DNT",
            "X-Request-Id",
            "X-Request-Start",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
        ];
        let known: Vec<_> = names.iter().filter(|name| seen.add(name.as_bytes())).collect();
        assert!(known.is_empty(), "{known:?}");
    }
}
