//! Encoded headers: length-prefixed names and values, one after another, read without copying or allocating.
//!
//! ```text
//! | name length u16 | value length u32 | name | value |  … repeated to the end of the payload
//! ```

use std::fmt;

use crate::limits::MAX_HEADERS;

const PREFIX: usize = 6;

/// Why a block of headers was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairsError {
    /// The block ends inside a header.
    Cut,
    /// More headers than [`MAX_HEADERS`].
    TooMany,
    /// A header without a name.
    EmptyName,
}

impl fmt::Display for PairsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("the block ends inside a header"),
            Self::TooMany => write!(f, "there are more than {MAX_HEADERS} headers"),
            Self::EmptyName => f.write_str("a header has no name"),
        }
    }
}

impl std::error::Error for PairsError {}

/// A checked block of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairs<'a> {
    bytes: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// Checks the block once, so that iterating cannot fail.
    ///
    /// # Errors
    ///
    /// [`PairsError`] when the block is cut, too long or contains an empty name.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PairsError> {
        let mut rest = bytes;
        let mut count = 0;
        while !rest.is_empty() {
            let (name, _) = take_pair(&mut rest).ok_or(PairsError::Cut)?;
            if name.is_empty() {
                return Err(PairsError::EmptyName);
            }
            count += 1;
            if count > MAX_HEADERS {
                return Err(PairsError::TooMany);
            }
        }
        Ok(Self { bytes })
    }

    /// Returns the headers in the order in which they were sent.
    pub fn iter(&self) -> PairsIter<'a> {
        PairsIter { rest: self.bytes }
    }

    /// Returns the value of the first header of this name, compared case-insensitively.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = PairsIter<'a>;

    fn into_iter(self) -> PairsIter<'a> {
        self.iter()
    }
}

/// Iterator over the headers of a [`Pairs`].
#[derive(Debug, Clone)]
pub struct PairsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for PairsIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        take_pair(&mut self.rest)
    }
}

/// Returns the number of bytes that [`put`] appends for a header.
pub fn encoded_len(name: &[u8], value: &[u8]) -> usize {
    PREFIX + name.len() + value.len()
}

/// Appends one header. A name above 64 KiB or a value above 4 GiB is cut; nginx's buffers are far smaller than both.
pub fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let name = &name[..name.len().min(usize::from(u16::MAX))];
    let value = &value[..value.len().min(u32::MAX as usize)];
    let ([n0, n1], [v0, v1, v2, v3]) =
        ((name.len() as u16).to_le_bytes(), (value.len() as u32).to_le_bytes());
    out.reserve(PREFIX + name.len() + value.len());
    out.extend_from_slice(&[n0, n1, v0, v1, v2, v3]);
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// Takes a header from the front of `bytes`; `None`, and nothing is taken, if it is cut.
fn take_pair<'a>(bytes: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let ([n0, n1, v0, v1, v2, v3], rest) = bytes.split_first_chunk::<PREFIX>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*n0, *n1])))?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes([*v0, *v1, *v2, *v3]) as usize)?;
    *bytes = rest;
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in pairs {
            put(&mut out, name.as_bytes(), value.as_bytes());
        }
        out
    }

    #[test]
    fn headers_keep_their_order_and_their_doubles() {
        let bytes = block(&[("Set-Cookie", "a=1"), ("X", ""), ("Set-Cookie", "b=2")]);
        let pairs = Pairs::parse(&bytes).unwrap();
        let names: Vec<_> = pairs.iter().map(|(n, v)| [n, v].concat()).collect();
        assert_eq!(names, [b"Set-Cookiea=1".to_vec(), b"X".to_vec(), b"Set-Cookieb=2".to_vec()]);
        assert_eq!(pairs.get(b"set-cookie"), Some(b"a=1".as_slice()));
        assert_eq!(pairs.get(b"absent"), None);
    }

    #[test]
    fn rejects_a_block_cut_anywhere() {
        let bytes = block(&[("Host", "example.org")]);
        for end in 1..bytes.len() {
            assert_eq!(Pairs::parse(&bytes[..end]), Err(PairsError::Cut));
        }
    }

    #[test]
    fn rejects_an_empty_name() {
        assert_eq!(Pairs::parse(&block(&[("", "x")])), Err(PairsError::EmptyName));
    }

    #[test]
    fn rejects_too_many_headers() {
        let mut bytes = Vec::new();
        for _ in 0..=MAX_HEADERS {
            put(&mut bytes, b"a", b"");
        }
        assert_eq!(Pairs::parse(&bytes), Err(PairsError::TooMany));
    }
}
