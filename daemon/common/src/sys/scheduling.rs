//! The scheduling policy of the calling process, which its threads and children inherit.

use std::io;

use nix::libc::{self, c_int, c_long};

/// The flag in the result of `sched_getscheduler`: children lose a realtime policy.
const RESET_ON_FORK: c_long = libc::SCHED_RESET_ON_FORK as c_long;

/// Gives the calling thread `SCHED_BATCH` instead of `SCHED_OTHER`, with the same nice value. A policy that an
/// administrator has chosen, such as `SCHED_IDLE`, stays.
///
/// Allocates nothing, and needs no privilege.
pub fn become_batch() -> io::Result<()> {
    if policy()? == libc::SCHED_OTHER { set(libc::SCHED_BATCH) } else { Ok(()) }
}

/// Returns the policy of the calling thread.
///
/// By number, as `sched_getscheduler` of musl always fails.
fn policy() -> io::Result<c_int> {
    // SAFETY: the call takes a number, 0 for the calling thread, and touches no memory.
    let found = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
    if found < 0 {
        return Err(io::Error::last_os_error());
    }
    c_int::try_from(found & !RESET_ON_FORK).map_err(io::Error::other)
}

/// Sets a policy without a priority.
fn set(policy: c_int) -> io::Result<()> {
    // The structure `sched_param` of the kernel: one number.
    let priority: c_int = 0;
    // SAFETY: the kernel reads one `c_int` through the pointer, which is valid during the call.
    let done = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Runs in a thread, which the policy does not outlive.
    fn after(first: c_int) -> c_int {
        let thread = thread::spawn(move || {
            set(first).unwrap();
            become_batch().unwrap();
            // SAFETY: as above.
            let found = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
            c_int::try_from(found).unwrap()
        });
        thread.join().unwrap()
    }

    #[test]
    fn only_the_usual_policy_is_replaced() {
        assert_eq!(after(libc::SCHED_OTHER), libc::SCHED_BATCH);
        assert_eq!(after(libc::SCHED_BATCH), libc::SCHED_BATCH);
        assert_eq!(after(libc::SCHED_IDLE), libc::SCHED_IDLE);
    }

    #[test]
    fn the_flag_of_a_policy_is_not_taken_for_a_policy() {
        assert_eq!(after(libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK), libc::SCHED_BATCH);
    }

    #[test]
    fn a_policy_that_the_kernel_refuses_is_an_error() {
        assert_eq!(set(99).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
