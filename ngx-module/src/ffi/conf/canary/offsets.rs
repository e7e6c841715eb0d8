//! Checks of field offsets against nginx's own tables: known request headers, and variables that are a single field.

use core::mem::offset_of;
use core::ptr::NonNull;

use crate::ffi::conf::{ConfContext, core_conf};
use crate::ffi::pool::Pool;
use crate::ffi::{sys, text};

type Request = sys::ngx_http_request_t;

/// The header fields of our `ngx_http_headers_in_t`, with their offsets; `build.rs` lists them.
const HEADER_FIELDS: &[(&str, usize)] = include!(concat!(env!("OUT_DIR"), "/header_fields.rs"));

/// Variables that are a field of the request.
const VARIABLES: [(&[u8], usize); 12] = [
    (b"http_host", offset_of!(Request, headers_in.host)),
    (b"http_user_agent", offset_of!(Request, headers_in.user_agent)),
    (b"http_referer", offset_of!(Request, headers_in.referer)),
    (b"content_type", offset_of!(Request, headers_in.content_type)),
    (b"sent_http_cache_control", offset_of!(Request, headers_out.cache_control)),
    (b"sent_http_link", offset_of!(Request, headers_out.link)),
    (b"uri", offset_of!(Request, uri)),
    (b"args", offset_of!(Request, args)),
    (b"query_string", offset_of!(Request, args)),
    (b"request_uri", offset_of!(Request, unparsed_uri)),
    (b"server_protocol", offset_of!(Request, http_protocol)),
    (b"limit_rate", offset_of!(Request, limit_rate)),
];

/// The members of [`VARIABLES`] that modules can look up and change.
const CHANGEABLE: [&[u8]; 2] = [b"args", b"limit_rate"];

/// Larger than every structure of nginx. `map` and similar directives replace a variable's offset by an address.
const BEYOND_ANY_OFFSET: usize = 1 << 16;

/// Whether the headers that nginx knows are at the offsets that we expect.
pub(super) fn headers_in() -> bool {
    let table = &raw const sys::ngx_http_headers_in;
    let mut entry = table.cast::<sys::ngx_http_header_t>();
    let mut compared = 0;
    // SAFETY: nginx's table ends with an empty name; the names are static.
    unsafe {
        while (*entry).name.len != 0 {
            let header = text::bytes((*entry).name);
            if let Some((_, offset)) = HEADER_FIELDS.iter().find(|(field, _)| holds(field, header)) {
                if *offset != (*entry).offset {
                    return false;
                }
                compared += 1;
            }
            entry = entry.add(1);
        }
    }
    compared > 0
}

/// Whether a field such as `content_length` is named after a header such as `Content-Length`. A field for several lines
/// of one header is a plural: `cookies`, before nginx 1.23.
fn holds(field: &str, header: &[u8]) -> bool {
    let spelled = header.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() });
    spelled.clone().eq(field.bytes()) || spelled.chain([b's']).eq(field.bytes())
}

/// Whether the variables in [`CHANGEABLE`] are at the offsets that we expect.
pub(super) fn changeable_variables(cf: &mut ConfContext<'_>) -> bool {
    CHANGEABLE.iter().all(|name| variable(cf, name).is_some_and(|variable| is_in_place(name, variable.data)))
}

/// Returns one of [`CHANGEABLE`].
pub(super) fn variable<'c>(
    cf: &mut ConfContext<'c>,
    name: &'static [u8],
) -> Option<&'c sys::ngx_http_variable_t> {
    let mut name = text::over(name);
    let flags = (sys::NGX_HTTP_VAR_CHANGEABLE | sys::NGX_HTTP_VAR_WEAK) as usize;
    // SAFETY: nginx's call; adding a variable that exists gives the one that exists, which lives as the configuration.
    unsafe { sys::ngx_http_add_variable(cf.as_ptr(), &raw mut name, flags).as_ref() }
}

/// Whether all [`VARIABLES`] are at the offsets that we expect. `listed` comes from [`listed_variables`].
pub(super) fn variables(listed: &[sys::ngx_hash_key_t]) -> bool {
    listed.iter().all(|key| {
        // SAFETY: nginx keeps names and variables as long as the configuration.
        let (name, variable) =
            unsafe { (text::bytes(key.key), key.value.cast::<sys::ngx_http_variable_t>().as_ref()) };
        variable.is_none_or(|variable| is_in_place(name, variable.data))
    })
}

fn is_in_place(name: &[u8], data: usize) -> bool {
    let expected = VARIABLES.iter().find(|(known, _)| *known == name);
    expected.is_none_or(|(_, offset)| data == *offset || data >= BEYOND_ANY_OFFSET)
}

/// Returns all variables, from the list that nginx builds while it reads the configuration; `None` if it is not at the
/// offset in our headers.
pub(super) fn listed_variables<'c>(cf: &ConfContext<'c>) -> Option<&'c [sys::ngx_hash_key_t]> {
    let core = core_conf::main(cf)?;
    // SAFETY: this field is in the middle of the structure, so what is read is within what nginx allocated for it.
    let keys = NonNull::new(unsafe { core.as_ref().variables_keys })?;
    // SAFETY: the pool outlives the callback.
    let temporary = unsafe { Pool::new(cf.get().temp_pool) }.ok()?;
    if !temporary.has(keys.cast()) {
        return None;
    }
    // SAFETY: memory of a pool can be read.
    let array = unsafe { &keys.as_ref().keys };
    let start = NonNull::new(array.elts.cast::<sys::ngx_hash_key_t>())?;
    let is_sound = array.size == size_of::<sys::ngx_hash_key_t>()
        && array.nelts <= array.nalloc
        && array.pool == cf.get().pool;
    // SAFETY: an array of the configuration's pool with elements of this size; it stays as it is during the callback.
    is_sound.then(|| unsafe { core::slice::from_raw_parts(start.as_ptr(), array.nelts) })
}
