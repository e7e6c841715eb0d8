//! The instance directory handed to the next program in the same process: for the tools only the release changes.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use nix::fcntl;
use nix::unistd::Gid;
use serde::{Deserialize, Serialize};

use super::directory::open_directory;
use super::own_sockets::OwnSockets;
use super::{APPS, Instance, PROPERTIES, Properties, SOCKETS, registry, share_apps, write_properties};
use crate::sys::fd_handover::{HandoverReader, HandoverWriter};

/// New properties are written to this file, which then replaces the old one.
const NEW_PROPERTIES: &str = "properties.new";

/// The state of the instance that is handed to the next program.
#[derive(Debug, Serialize, Deserialize)]
pub struct PackedInstance {
    registry: PathBuf,
    entry: String,
    properties: Properties,
    lock: RawFd,
}

impl Instance {
    /// Packs it for the next program.
    pub fn pack(&self, writer: &mut HandoverWriter) -> io::Result<PackedInstance> {
        Ok(PackedInstance {
            registry: self.path.parent().unwrap_or(&self.path).to_path_buf(),
            entry: self.entry.clone(),
            properties: self.properties.clone(),
            lock: writer.pack(&*self.lock)?,
        })
    }

    /// Unpacks that of the previous program. `router` is the router's group, if it is not the daemon's own.
    pub fn unpack(
        packed: PackedInstance,
        reader: &mut HandoverReader,
        router: Option<Gid>,
    ) -> io::Result<Self> {
        let PackedInstance { registry, entry, mut properties, lock } = packed;
        let lock = reader.take_lock(lock)?;
        let registry_fd = registry::open(&registry).map_err(io::Error::other)?;
        let directory = open_directory(&registry_fd, &entry)?;
        properties.version = env!("CARGO_PKG_VERSION").to_owned();
        write_properties(&directory, NEW_PROPERTIES, &properties)?;
        fcntl::renameat(&directory, NEW_PROPERTIES, &directory, PROPERTIES)?;
        let path = registry.join(&entry);
        share_apps(&open_directory(&directory, APPS)?, router)?;
        let own_sockets = OwnSockets::open(&directory, &path, SOCKETS, router)?;
        Ok(Self { registry: registry_fd, entry, path, directory, properties, own_sockets, lock })
    }
}
