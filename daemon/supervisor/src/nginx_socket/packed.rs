//! The socket handed to the next program in the same process: connections made meanwhile wait in it.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Inode, Made, NginxSocket, Watch};
use common::sys::fd_handover::{HandoverReader, HandoverWriter};

/// The state of the socket that is handed to the next program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PackedSocket {
    listening: RawFd,
    path: PathBuf,
    inode: Inode,
    backlog: u64,
    /// The lock and its path, unless a service manager created the socket.
    made: Option<(RawFd, PathBuf)>,
}

impl NginxSocket {
    /// Packs it for the next program.
    pub(crate) fn pack(&self, writer: &mut HandoverWriter) -> io::Result<PackedSocket> {
        let made = self.made.as_ref();
        let made = made.map(|made| Ok::<_, io::Error>((writer.pack(&*made.lock)?, made.lock_path.clone())));
        Ok(PackedSocket {
            made: made.transpose()?,
            listening: writer.pack(&self.listening)?,
            path: self.path.clone(),
            inode: self.inode,
            backlog: self.backlog,
        })
    }

    /// Unpacks that of the previous program.
    pub(crate) fn unpack(packed: PackedSocket, reader: &mut HandoverReader) -> io::Result<Self> {
        let PackedSocket { listening, path, inode, backlog, made } = packed;
        let made = made
            .map(|(lock, lock_path)| Ok::<_, io::Error>(Made { lock_path, lock: reader.take_lock(lock)? }));
        let made = made.transpose()?;
        let watch = Watch::on(&path);
        Ok(Self { listening: reader.take(listening)?, path, inode, backlog, made, watch })
    }
}
