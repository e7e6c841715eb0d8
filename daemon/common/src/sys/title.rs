//! The name of a forked process, as ps(1) and top(1) show it: its command line is a copy of the parent's otherwise.

use std::ffi::CStr;
use std::{fs, io, ptr};

use nix::sys::prctl;

/// Positions in `/proc/self/stat`, counted after the program's name: where the command line begins and ends.
const ARG_START: usize = 45;
const ARG_END: usize = 46;

/// Names this process, which must not read its arguments afterwards. Without `/proc` only its short name is set.
pub fn set_title(name: &CStr) -> io::Result<()> {
    prctl::set_name(name)?;
    let Some((start, end)) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| arguments(&stat))
    else {
        return Ok(());
    };
    let (name, room) = (name.to_bytes(), end - start);
    // The last byte stays 0: otherwise the kernel takes what follows as a part of the command line.
    let length = name.len().min(room - 1);
    let area = ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: the kernel has placed the arguments between these addresses, in writable memory that nothing frees. Only
    // `env::args` reads them, which this process no longer calls; `length` is less than their size.
    unsafe {
        ptr::write_bytes(area, 0, room);
        ptr::copy_nonoverlapping(name.as_ptr(), area, length);
    }
    Ok(())
}

/// Returns the addresses between which the arguments are; `None` when there is no byte.
fn arguments(stat: &str) -> Option<(usize, usize)> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let address = |at: usize| fields.get(at)?.parse::<usize>().ok();
    let (start, end) = (address(ARG_START)?, address(ARG_END)?);
    (start > 0 && end > start).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_follow_the_name_whatever_it_is() {
        let zeros = "0 ".repeat(44);
        assert_eq!(arguments(&format!("7 (a) b (c) S {zeros}4096 4100 0")), Some((4096, 4100)));
        for none in ["", "7 (a) S 1", &format!("7 (a) S {zeros}0 0"), &format!("7 (a) S {zeros}9 9")] {
            assert_eq!(arguments(none), None, "{none}");
        }
    }
}
