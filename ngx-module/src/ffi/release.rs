//! The release of nginx that the module is built for.

use super::sys;

/// nginx's release, such as `1.22.1`.
pub(crate) const NGINX_VERSION: &str = version(sys::NGINX_VERSION.to_bytes());

/// nginx's name and release, such as `nginx/1.22.1`.
pub(crate) const SERVER_SOFTWARE: &[u8] = sys::NGINX_VER.to_bytes();

const fn version(bytes: &'static [u8]) -> &'static str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}
