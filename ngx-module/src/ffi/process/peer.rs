//! Addresses to connect to, copied from nginx's structures.

use core::mem::MaybeUninit;

use crate::ffi::conf::upstream_ref::UpstreamRef;
use crate::ffi::{array, sys, text};

/// An address.
#[derive(Clone)]
pub(crate) struct Peer {
    address: sys::ngx_sockaddr_t,
    len: usize,
    name: Vec<u8>,
}

impl core::fmt::Debug for Peer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Peer({})", self.name.escape_ascii())
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Peer {
    fn copied(from: &sys::ngx_addr_t) -> Option<Self> {
        let len = from.socklen as usize;
        if from.sockaddr.is_null() || len == 0 || len > size_of::<sys::ngx_sockaddr_t>() {
            return None;
        }
        let mut address = MaybeUninit::<sys::ngx_sockaddr_t>::zeroed();
        // SAFETY: an address of nginx's is `socklen` bytes long, which fit; all its other bytes are zero, which is valid.
        unsafe {
            address.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(from.sockaddr.cast(), len);
            Some(Self { address: address.assume_init(), len, name: text::bytes(from.name).to_vec() })
        }
    }

    /// Returns the address in nginx's notation.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Returns the address for nginx's structure of a new connection. nginx only reads it.
    pub(in crate::ffi) fn raw(&self) -> (*mut sys::sockaddr, sys::socklen_t, sys::ngx_str_t) {
        let name = sys::ngx_str_t { len: self.name.len(), data: self.name.as_ptr().cast_mut() };
        ((&raw const self.address).cast_mut().cast(), self.len as sys::socklen_t, name)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: all bytes of the address were written, and it is longer than `len`.
        unsafe { core::slice::from_raw_parts((&raw const self.address).cast::<u8>(), self.len) }
    }
}

/// Returns the addresses of all servers of a block that are not marked as down.
pub(crate) fn of_upstream(upstream: UpstreamRef) -> Vec<Peer> {
    // SAFETY: blocks live as long as the configuration, as whatever refers to them does; their lists no longer change.
    unsafe {
        let Some(servers) = upstream.as_ptr().as_ref().and_then(|block| block.servers.as_ref()) else {
            return Vec::new();
        };
        let servers: &[sys::ngx_http_upstream_server_t] = array::elements(servers);
        let up = servers.iter().filter(|server| server.down == 0);
        up.flat_map(|server| array::slice(server.addrs, server.naddrs)).filter_map(Peer::copied).collect()
    }
}
