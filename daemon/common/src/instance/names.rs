//! Random names that cannot be guessed and that no two instances share.

use std::io;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The beginning of every instance directory's name.
pub(super) const PREFIX: &str = "passenger.";

/// Returns a name for an instance directory.
pub(super) fn entry() -> io::Result<String> {
    Ok(format!("{PREFIX}{}", random(7)?))
}

/// Returns a name for an instance, as it is displayed and typed.
pub(super) fn name() -> io::Result<String> {
    random(8)
}

fn random(len: usize) -> io::Result<String> {
    let mut name = String::new();
    while name.len() < len {
        let mut byte = [0];
        getrandom::fill(&mut byte)?;
        // Bytes beyond the last letter are skipped, so that all letters are equally likely.
        if let Some(letter) = LETTERS.get(usize::from(byte[0] & 0x3f)) {
            name.push(char::from(*letter));
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_length_and_differ() {
        let (one, other) = (entry().unwrap(), entry().unwrap());
        assert_eq!(one.len(), "passenger.".len() + 7);
        assert_eq!(name().unwrap().len(), 8);
        assert_ne!(one, other);
    }
}
