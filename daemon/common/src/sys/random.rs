//! Unpredictable random bytes, read without a descriptor: available even if all descriptors are in use.

use std::io;

use nix::libc;

/// Fills `bytes`.
///
/// # Errors
///
/// If the kernel cannot provide them.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the kernel writes at most `rest.len()` bytes to where `rest` begins.
        let came = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(came) {
            Ok(came) => filled += came,
            Err(_) => match io::Error::last_os_error() {
                err if err.kind() == io::ErrorKind::Interrupted => {}
                err => return Err(err),
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ_from_time_to_time() {
        let (mut one, mut other) = ([0; 64], [0; 64]);
        fill(&mut one).unwrap();
        fill(&mut other).unwrap();
        assert!(one != other && one[48..] != [0; 16]);
    }
}
