//! The transport of the link: sends and receives one message per packet, with its descriptors.
//!
//! It never blocks, keeps no queue and does not interpret messages.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{MAX_DESCRIPTORS, MAX_MESSAGE};
use crate::sys::descriptors;
use crate::sys::packets::{self, Received};

/// bincode applies its limit to lengths as well as to bytes, so a message of the maximum size needs more.
const DECODE_LIMIT: usize = 2 * MAX_MESSAGE;
const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_LIMIT>> =
    bincode::config::standard().with_limit::<DECODE_LIMIT>();

/// One end of the link.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
}

/// An encoded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded(Vec<u8>);

/// The buffer for received packets: one for each receiver, reused for all packets.
#[derive(Debug)]
pub struct Buffer(Box<[u8]>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; MAX_MESSAGE].into_boxed_slice())
    }
}

impl Encoded {
    /// Encodes `message`; fails with `InvalidInput` if it is longer than [`MAX_MESSAGE`] or contains a path that is not
    /// UTF-8.
    pub fn new<T: Serialize>(message: &T) -> io::Result<Self> {
        let bytes = bincode::serde::encode_to_vec(message, CONFIG)
            .map_err(|err| io::Error::new(io::ErrorKind::InvalidInput, err.to_string()))?;
        if bytes.len() > MAX_MESSAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
        }
        Ok(Self(bytes))
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Returns its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Channel {
    /// Wraps one end of a `SOCK_SEQPACKET` pair and makes it non-blocking.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        descriptors::set_nonblocking(&fd)?;
        Ok(Self { fd })
    }

    /// Creates two connected ends.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = packets::pair()?;
        Ok((Self { fd: one }, Self { fd: other }))
    }

    /// Sends one message, whole or not at all. `WouldBlock`: the peer has to read first.
    pub fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_encoded(&Encoded::new(message)?, descriptors)
    }

    /// As [`Channel::send`], for a message that may have to be sent again later.
    pub fn send_encoded(&self, message: &Encoded, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        packets::send(self.fd.as_fd(), &message.0, descriptors)
    }

    /// Receives one message with its descriptors; `None` if the peer has closed its end. If this process may open no
    /// more descriptors, there are fewer than were sent.
    ///
    /// `WouldBlock`: there is no message yet. `InvalidData`: a packet was not a message; it was removed and its
    /// descriptors closed, so the next call receives the next message.
    pub fn recv<T: DeserializeOwned>(&self, buffer: &mut Buffer) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let got = self.receive(buffer)?;
        if got.len == 0 {
            return Ok(None);
        }
        if got.cut {
            return Err(refused("it is too long"));
        }
        if got.descriptors.len() > MAX_DESCRIPTORS {
            return Err(refused("it has too many descriptors"));
        }
        Ok(Some((decode(&buffer.0[..got.len])?, got.descriptors)))
    }

    /// Receives a packet. If the peer ended with unread packets, one connection reset is reported before its packets.
    fn receive(&self, buffer: &mut Buffer) -> io::Result<Received> {
        match packets::receive(self.fd.as_fd(), &mut buffer.0) {
            Err(err) if err.kind() == io::ErrorKind::ConnectionReset => {
                packets::receive(self.fd.as_fd(), &mut buffer.0)
            }
            got => got,
        }
    }

    /// Returns the descriptor, to be inherited.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::os::fd::AsRawFd for Channel {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

/// Decodes one message.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let (message, used) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|err| refused(&format!("it cannot be decoded: {err}")))?;
    if used != bytes.len() {
        return Err(refused("it has trailing bytes"));
    }
    Ok(message)
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Notice, Order, ProcessId, StopHow, Ticket};

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (supervisor, router) = Channel::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let notice = Notice::NotStarted { ticket: Ticket(7), reason: "there is no such user".into() };
        supervisor.send(&notice, &[reader.as_fd(), writer.as_fd()]).unwrap();

        let (got, descriptors) = router.recv::<Notice>(&mut Buffer::default()).unwrap().unwrap();
        assert_eq!(got, notice);
        assert_eq!(descriptors.len(), 2);
    }

    #[test]
    fn refuses_an_invalid_message_and_continues() {
        let (supervisor, router) = Channel::pair().unwrap();
        let mut buffer = Buffer::default();
        packets::send(router.as_fd(), &[0xff; 30], &[]).unwrap();
        router.send(&Order::Stop(ProcessId(3), StopHow::Kill), &[]).unwrap();

        let err = supervisor.recv::<Order>(&mut buffer).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::InvalidData);
        let (next, _) = supervisor.recv::<Order>(&mut buffer).unwrap().unwrap();
        assert_eq!(next, Order::Stop(ProcessId(3), StopHow::Kill));
    }

    #[test]
    fn refuses_excess_descriptors_and_trailing_bytes() {
        let (supervisor, router) = Channel::pair().unwrap();
        let (reader, _writer) = io::pipe().unwrap();
        let mut buffer = Buffer::default();
        router.send(&Order::Finished, &[reader.as_fd(); MAX_DESCRIPTORS + 1]).unwrap();
        let mut long = Encoded::new(&Order::Finished).unwrap();
        long.0.push(0);
        router.send_encoded(&long, &[]).unwrap();

        for _ in 0..2 {
            let err = supervisor.recv::<Order>(&mut buffer).unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn the_longest_message_fits_the_socket() {
        let (supervisor, router) = Channel::pair().unwrap();
        let reason = "x".repeat(MAX_MESSAGE - 16);
        router.send(&Notice::NotStarted { ticket: Ticket(1), reason: reason.clone() }, &[]).unwrap();
        let too_long = Notice::NotStarted { ticket: Ticket(1), reason: "x".repeat(MAX_MESSAGE) };
        assert_eq!(router.send(&too_long, &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);

        let (got, _) = supervisor.recv::<Notice>(&mut Buffer::default()).unwrap().unwrap();
        assert_eq!(got, Notice::NotStarted { ticket: Ticket(1), reason });
    }

    #[test]
    fn the_last_messages_of_a_peer_that_did_not_read_are_received() {
        let (supervisor, router) = Channel::pair().unwrap();
        supervisor.send(&Notice::ShutDown { limit: 1 }, &[]).unwrap();
        router.send(&Order::Finished, &[]).unwrap();
        drop(router);
        let mut buffer = Buffer::default();
        let (last, _) = supervisor.recv::<Order>(&mut buffer).unwrap().unwrap();
        assert_eq!(last, Order::Finished);
        assert!(supervisor.recv::<Order>(&mut buffer).unwrap().is_none());
    }

    #[test]
    fn distinguishes_a_full_link_from_a_closed_one() {
        let (supervisor, router) = Channel::pair().unwrap();
        let full = loop {
            if let Err(err) = supervisor.send(&Notice::ShutDown { limit: 1 }, &[]) {
                break err;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(router);
        assert!(supervisor.recv::<Order>(&mut Buffer::default()).unwrap().is_none());
    }
}
