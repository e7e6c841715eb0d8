//! Protection of a terminal that a program of another user gets from root.

use std::fs::File;
use std::io;

use nix::libc;
use nix::sys::prctl;

/// Returns an instruction of the kernel's filter language.
const fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
/// Offset of the system call's number in `seccomp_data`.
const NUMBER: u32 = 0;
/// Offset of the lower half of the second argument.
const REQUEST: u32 = if cfg!(target_endian = "little") { 24 } else { 28 };
/// The number of `ioctl` for 32-bit programs of x86 and ARM.
const IOCTL_32: u32 = 54;
/// The number of `ioctl` for x32 programs.
const IOCTL_X32: u32 = 0x4000_0000 | 514;

/// Refuses the requests of `ioctl` that put characters into a terminal's input. The numbers of other architectures mean
/// other calls here, whose second argument never has one of these values in practice.
const FILTER: [libc::sock_filter; 9] = [
    instruction(LOAD, NUMBER, 0, 0),
    instruction(JUMP_IF_EQUAL, libc::SYS_ioctl as u32, 2, 0),
    instruction(JUMP_IF_EQUAL, IOCTL_32, 1, 0),
    instruction(JUMP_IF_EQUAL, IOCTL_X32, 0, 3),
    instruction(LOAD, REQUEST, 0, 0),
    instruction(JUMP_IF_EQUAL, libc::TIOCSTI as u32, 2, 0),
    instruction(JUMP_IF_EQUAL, libc::TIOCLINUX as u32, 1, 0),
    instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    instruction(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0, 0),
];

/// Denies this process and its descendants to put characters into their terminal's input, which the caller's shell would
/// execute with the caller's rights. Does nothing without a terminal. To be called while the process is root.
pub fn forbid_typing() -> io::Result<()> {
    if File::open("/dev/tty").is_err() {
        return Ok(());
    }
    match install() {
        // In a container, root may lack the capability; then no program that is executed may gain privileges.
        Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
            prctl::set_no_new_privs()?;
            install()
        }
        installed => installed,
    }
}

fn install() -> io::Result<()> {
    let mut filter = FILTER;
    let program = libc::sock_fprog { len: FILTER.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel reads `len` instructions from `filter`, which lives until the call returns, and keeps a copy.
    let set = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, std::ptr::from_ref(&program), 0, 0)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
