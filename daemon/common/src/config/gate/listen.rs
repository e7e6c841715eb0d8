//! Addresses in `[gate]`: where the gate listens, and which proxies it trusts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::tcp_address;
use crate::config::MAX_SOCKET_PATH;

/// An address at which the gate accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Parses `127.0.0.1:3000`, `[::1]:3000`, `3000` for that port of 127.0.0.1, or `unix:/path`.
    ///
    /// # Errors
    ///
    /// What the value must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const MUST: &str =
            "must be an address with a port, such as 127.0.0.1:3000, or unix:/path of a socket";
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') || path.contains('\0') {
                return Err("must have an absolute path after \"unix:\"");
            }
            if path.len() > MAX_SOCKET_PATH {
                return Err("must have a path of at most 107 bytes");
            }
            return Ok(Self::Unix(path.into()));
        }
        if let Ok(port) = text.parse::<u16>() {
            return Ok(Self::Tcp(SocketAddr::from(([127, 0, 0, 1], port))));
        }
        tcp_address(text).map(Self::Tcp).ok_or(MUST)
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Proxies whose statements about their clients are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedNetwork {
    /// The addresses that begin with these bits.
    Ip(IpAddr, u8),
    /// Every client of a unix socket.
    Unix,
}

impl TrustedNetwork {
    /// Parses `192.0.2.1`, `10.0.0.0/8` or `unix:`.
    ///
    /// # Errors
    ///
    /// What the value must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const MUST: &str = "must be an address, a network such as 10.0.0.0/8, or \"unix:\"";
        if text == "unix:" {
            return Ok(Self::Unix);
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| MUST)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| MUST)?;
        if bits > most {
            return Err(MUST);
        }
        Ok(Self::Ip(address, bits))
    }

    /// Whether the network contains the address; `None` is a client of a unix socket.
    pub fn contains(self, address: Option<IpAddr>) -> bool {
        match (self, address.map(|address| address.to_canonical())) {
            (Self::Unix, None) => true,
            (Self::Ip(IpAddr::V4(network), bits), Some(IpAddr::V4(address))) => {
                (u32::from(network) ^ u32::from(address)).checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0
            }
            (Self::Ip(IpAddr::V6(network), bits), Some(IpAddr::V6(address))) => {
                (u128::from(network) ^ u128::from(address)).checked_shr(128 - u32::from(bits)).unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}
