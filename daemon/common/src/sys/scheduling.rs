//! The scheduling policy of the calling process, which its threads and children inherit.

use std::io;

use nix::libc::{self, c_int, c_uint};

/// The time slice, in nanoseconds; the kernel's own is 2.8 ms on two processors.
///
/// A task that does not interrupt others has to wait for their slices to end. The one with the shortest slice is the next.
/// Kernels before 6.12 ignore it.
const SLICE: u64 = 200_000;

/// The first version of the kernel's structure `sched_attr`, which every release accepts.
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const SIZE: c_uint = size_of::<Attributes>() as c_uint;

/// Gives the calling thread `SCHED_BATCH` instead of `SCHED_OTHER`, with the same nice value. A policy that an
/// administrator has chosen, such as `SCHED_IDLE`, stays.
///
/// Allocates nothing, and needs no privilege.
pub fn become_batch() -> io::Result<()> {
    let mut attributes = attributes()?;
    if attributes.policy != policy(libc::SCHED_OTHER) {
        return Ok(());
    }
    attributes.policy = policy(libc::SCHED_BATCH);
    attributes.runtime = SLICE;
    set(&attributes)
}

/// Returns the attributes of the calling thread.
fn attributes() -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    let no_flags: c_uint = 0;
    // SAFETY: the kernel writes at most SIZE bytes, the size of the value; every pattern of bits is valid in it.
    let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, no_flags) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(attributes) }
}

/// Sets the attributes of the calling thread.
fn set(attributes: &Attributes) -> io::Result<()> {
    let no_flags: c_uint = 0;
    // SAFETY: the kernel reads as many bytes as the field `size` says, which is the size of the value.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attributes, no_flags) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A policy as the kernel's structure has it. All of them are small and positive.
const fn policy(policy: c_int) -> u32 {
    policy.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Runs in a thread, which the attributes do not outlive.
    fn after(first: Attributes) -> Attributes {
        let thread = thread::spawn(move || {
            set(&first).unwrap();
            become_batch().unwrap();
            attributes().unwrap()
        });
        thread.join().unwrap()
    }

    fn with(policy: c_int) -> Attributes {
        Attributes { size: SIZE, policy: super::policy(policy), nice: 7, ..Attributes::default() }
    }

    #[test]
    fn only_the_usual_policy_is_replaced() {
        for (before, expected) in [
            (libc::SCHED_OTHER, libc::SCHED_BATCH),
            (libc::SCHED_BATCH, libc::SCHED_BATCH),
            (libc::SCHED_IDLE, libc::SCHED_IDLE),
        ] {
            assert_eq!(after(with(before)).policy, policy(expected), "{before}");
        }
    }

    #[test]
    fn the_nice_value_and_the_flags_stay() {
        const RESET_ON_FORK: u64 = 1;
        let before = Attributes { flags: RESET_ON_FORK, ..with(libc::SCHED_OTHER) };
        let after = after(before);
        assert_eq!((after.policy, after.nice, after.flags), (policy(libc::SCHED_BATCH), 7, RESET_ON_FORK));
        assert!([0, SLICE].contains(&after.runtime), "0 before Linux 6.12");
    }

    #[test]
    fn attributes_that_the_kernel_refuses_are_an_error() {
        let refused = set(&with(99)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
    }
}
