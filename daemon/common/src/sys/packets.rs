//! Packets with descriptors over a connected `SOCK_SEQPACKET` socket.
//!
//! Every received descriptor is owned before anything else can fail, so none leaks.

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, sockopt,
};
use nix::unistd::{Pid, Uid};

/// Room for the maximum of 253 descriptors in a message (`SCM_MAX_FD`), the sender's credentials, and their headers.
const CONTROL_LEN: usize = 1120;

/// Control data, aligned for its headers.
#[repr(C, align(8))]
struct ControlSpace([u8; CONTROL_LEN]);

/// Creates two connected ends. Both are close-on-exec and non-blocking.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// As [`pair`]; the kernel attests the sender to the first end, from the first packet on.
pub fn attested_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (attested, other) = pair()?;
    socket::setsockopt(&attested, sockopt::PassCred, &true)?;
    Ok((attested, other))
}

/// Stops receiving at this end: the kernel refuses further packets of the other end.
pub fn close_for_receiving(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(socket::shutdown(fd.as_raw_fd(), Shutdown::Read)?)
}

/// Sends one packet, whole or not at all.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let sent =
        socket::sendmsg::<()>(fd.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    if sent == bytes.len() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
}

/// The sender of a packet, as attested by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// Its process ID; 0 for a process that is not visible to this one.
    pub pid: Pid,
    /// Its user.
    pub uid: Uid,
}

/// The result of a receive.
#[derive(Debug)]
pub struct Received {
    /// Bytes of `buffer` that were filled; 0 at end of file.
    pub len: usize,
    /// Whether the packet was longer than the buffer.
    pub cut: bool,
    /// Whether descriptors were lost because this process may open no more.
    pub lost: bool,
    /// The descriptors of the packet, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// The sender, at an attested end.
    pub sender: Option<Sender>,
}

/// Receives one packet.
///
/// nix gives no access to the descriptors of a message whose control data was truncated, as when this process may open
/// no more, and would leak them. So the control data is parsed here.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = ControlSpace([0; CONTROL_LEN]);
    let mut into = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeros is a valid msghdr: null pointers with lengths of zero.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut into;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_LEN as _;
    // SAFETY: `message` points to one buffer and one control space, each with its true length, and both outlive the
    // call.
    let received = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let (descriptors, sender) = take_control(&message);
    let cut = message.msg_flags & libc::MSG_TRUNC != 0;
    let lost = message.msg_flags & libc::MSG_CTRUNC != 0;
    Ok(Received { len, cut, lost, descriptors, sender })
}

/// Takes ownership of every descriptor that the kernel installed for `message`, and reads the sender.
fn take_control(message: &libc::msghdr) -> (Vec<OwnedFd>, Option<Sender>) {
    let mut owned = Vec::new();
    let mut sender = None;
    // SAFETY: `message` was filled by recvmsg, so its control fields describe the space the kernel wrote to.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a header inside that space, which is aligned for it.
    while let Some(header) = unsafe { next.as_ref() } {
        match (header.cmsg_level, header.cmsg_type) {
            // SAFETY: the header is one of the kernel's own, and of rights.
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => owned.extend(unsafe { descriptors_of(header) }),
            // SAFETY: the header is one of the kernel's own, and of credentials.
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => sender = Some(unsafe { sender_of(header) }),
            _ => {}
        }
        // SAFETY: both come from the same filled message.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    (owned, sender)
}

/// # Safety
///
/// `header` must be an `SCM_CREDENTIALS` header as the kernel wrote it, still in its control space.
unsafe fn sender_of(header: &libc::cmsghdr) -> Sender {
    // SAFETY: the data of such a header is one `ucred`, which follows it in the same space.
    let ucred = unsafe { libc::CMSG_DATA(header).cast::<libc::ucred>().read_unaligned() };
    Sender { pid: Pid::from_raw(ucred.pid), uid: Uid::from_raw(ucred.uid) }
}

/// # Safety
///
/// `header` must be an `SCM_RIGHTS` header as the kernel wrote it, still in its control space, read only once.
unsafe fn descriptors_of(header: &libc::cmsghdr) -> Vec<OwnedFd> {
    // SAFETY: CMSG_LEN only computes.
    let empty = unsafe { libc::CMSG_LEN(0) } as usize;
    let count = (header.cmsg_len).saturating_sub(empty) / size_of::<RawFd>();
    // SAFETY: the data of a header follows it in the same space.
    let data = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
    (0..count)
        .map(|at| {
            // SAFETY: `cmsg_len` covers `count` descriptors. Each was installed in this process by this receive, so
            // it is open and nobody else's.
            unsafe { OwnedFd::from_raw_fd(data.add(at).read_unaligned()) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_packet_carries_its_descriptors() {
        let (here, there) = pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        send(here.as_fd(), b"take this", &[writer.as_fd()]).unwrap();
        drop(writer);

        let mut buffer = [0; 64];
        let got = receive(there.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..got.len], b"take this");
        assert!(!got.cut);
        let [descriptor] = <[OwnedFd; 1]>::try_from(got.descriptors).unwrap();
        std::fs::File::from(descriptor).write_all(b"through").unwrap();
        let mut text = String::new();
        { reader }.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn the_kernel_attests_the_sender() {
        let (attested, other) = attested_pair().unwrap();
        let (reader, _writer) = io::pipe().unwrap();
        send(other.as_fd(), b"me", &[reader.as_fd()]).unwrap();
        let got = receive(attested.as_fd(), &mut [0; 10]).unwrap();
        assert_eq!(got.sender, Some(Sender { pid: Pid::this(), uid: Uid::effective() }));
        assert_eq!(got.descriptors.len(), 1);
        assert!(!got.cut);
    }

    #[test]
    fn an_end_that_receives_nothing_refuses_the_other() {
        let (here, there) = pair().unwrap();
        close_for_receiving(here.as_fd()).unwrap();
        send(here.as_fd(), b"order", &[]).unwrap();
        assert_eq!(receive(there.as_fd(), &mut [0; 10]).unwrap().len, 5);
        let refused = send(there.as_fd(), b"garbage", &[]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn reports_a_truncated_packet() {
        let (here, there) = pair().unwrap();
        send(here.as_fd(), &[7; 100], &[]).unwrap();
        let got = receive(there.as_fd(), &mut [0; 10]).unwrap();
        assert!(got.cut);
    }

    #[test]
    fn distinguishes_end_of_file_from_no_packet_yet() {
        let (here, there) = pair().unwrap();
        let nothing = receive(there.as_fd(), &mut [0; 10]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(here);
        assert_eq!(receive(there.as_fd(), &mut [0; 10]).unwrap().len, 0);
    }
}
