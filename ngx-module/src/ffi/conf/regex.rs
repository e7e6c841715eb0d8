//! nginx's compiled regular expressions, of server names and locations. An nginx without PCRE has none.

use crate::ffi::sys;

/// An expression, valid as long as the configuration.
#[derive(Debug, Clone, Copy)]
pub(in crate::ffi) struct Regex(#[cfg(nginx_has_regex)] core::ptr::NonNull<sys::ngx_http_regex_t>);

#[cfg(nginx_has_regex)]
impl Regex {
    pub(in crate::ffi) fn of_server_name(name: &sys::ngx_http_server_name_t) -> Option<Self> {
        core::ptr::NonNull::new(name.regex).map(Self)
    }

    pub(in crate::ffi) fn of_location(location: &sys::ngx_http_core_loc_conf_t) -> Option<Self> {
        core::ptr::NonNull::new(location.regex).map(Self)
    }

    /// Whether it matches.
    pub(in crate::ffi) fn matches(self, text: &[u8]) -> bool {
        // SAFETY: compiled expressions live as long as the configuration.
        let regex = unsafe { self.0.as_ref() }.regex;
        let mut element = sys::ngx_regex_elt_t { regex, name: core::ptr::null_mut() };
        // SAFETY: zero is a valid value of this plain structure.
        let mut array: sys::ngx_array_t = unsafe { core::mem::zeroed() };
        (array.elts, array.nelts) = ((&raw mut element).cast(), 1);
        let mut text = sys::ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
        // SAFETY: nginx's call, which only reads the text and the array of one element.
        unsafe { sys::ngx_regex_exec_array(&raw mut array, &raw mut text, crate::ffi::log::silent()) == 0 }
    }
}

#[cfg(not(nginx_has_regex))]
impl Regex {
    pub(in crate::ffi) fn of_server_name(_: &sys::ngx_http_server_name_t) -> Option<Self> {
        None
    }

    pub(in crate::ffi) fn of_location(_: &sys::ngx_http_core_loc_conf_t) -> Option<Self> {
        None
    }

    pub(in crate::ffi) fn matches(self, _: &[u8]) -> bool {
        false
    }
}
