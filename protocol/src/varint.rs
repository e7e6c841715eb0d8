//! bincode's numbers and byte strings, of which the two heads on the path of every request consist. This takes a tenth of
//! the instructions of serde's way, which defines the bytes: the tests of both heads compare them.
//!
//! A number below 251 is one byte; otherwise 251, 252 or 253 is followed by two, four or eight bytes, little endian. A
//! byte string follows its length.

use crate::reader::{ReadError, Reader};

const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, value: u64) {
    if value < u64::from(TWO_BYTES) {
        out.push(value as u8);
    } else if let Ok(value) = u16::try_from(value) {
        let [low, high] = value.to_le_bytes();
        out.extend_from_slice(&[TWO_BYTES, low, high]);
    } else if let Ok(value) = u32::try_from(value) {
        out.push(FOUR_BYTES);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.push(EIGHT_BYTES);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends a byte string.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a number; one that announces more bytes than `N` has, or does not fit, is invalid.
pub(crate) fn number<N: TryFrom<u64>>(reader: &mut Reader<'_>, what: &'static str) -> Result<N, ReadError> {
    let first = reader.u8(what)?;
    let number = match first {
        TWO_BYTES => u64::from(u16::from_le_bytes(reader.array(what)?)),
        FOUR_BYTES if size_of::<N>() >= 4 => u64::from(u32::from_le_bytes(reader.array(what)?)),
        EIGHT_BYTES if size_of::<N>() >= 8 => u64::from_le_bytes(reader.array(what)?),
        FOUR_BYTES.. => return Err(ReadError::InvalidValue(what)),
        small => u64::from(small),
    };
    N::try_from(number).map_err(|_| ReadError::InvalidValue(what))
}

/// Reads a byte string.
pub(crate) fn bytes<'a>(reader: &mut Reader<'a>, what: &'static str) -> Result<&'a [u8], ReadError> {
    let len = number::<usize>(reader, what)?;
    reader.take(len, what)
}
