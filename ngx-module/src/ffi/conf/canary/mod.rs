//! A check at load time that this nginx lays out its structures as in the headers that the module was built with.
//!
//! nginx checks a version and a signature, but a distribution's patch can move a field without changing either. Such a
//! module loads, and then sets wrong flags under load. At load time a failure is harmless.

use super::ConfContext;
use crate::ffi::pool::OutOfMemory;

mod bits;
mod offsets;

/// Compares layouts; the error is the name of a structure that differs.
///
/// Offsets are checked first, as they are only read. `bits` calls functions of nginx that follow pointers: those of a
/// request are located between fields that were checked before. `$limit_rate` is such a field, and its setter needs no
/// pointer.
pub(in crate::ffi) fn check(cf: &mut ConfContext<'_>) -> Result<(), &'static str> {
    expect("ngx_http_headers_in_t", Ok(offsets::headers_in()))?;
    expect("ngx_http_request_t", Ok(offsets::changeable_variables(cf)))?;
    let variables = offsets::listed_variables(cf).ok_or("ngx_http_core_main_conf_t")?;
    expect("ngx_http_request_t", Ok(offsets::variables(variables)))?;

    let pool = cf.pool().map_err(|OutOfMemory| "memory")?;
    expect("ngx_connection_t", bits::connection(cf, pool))?;
    expect("ngx_event_t", bits::event(cf, pool))?;
    expect("ngx_http_request_t", bits::limit_rate(cf, pool))?;
    expect("ngx_http_request_t", bits::request(pool))?;
    expect("ngx_http_upstream_t", bits::upstream(cf, pool))?;
    expect("ngx_buf_t", bits::buffer(pool))
}

fn expect(structure: &'static str, agrees: Result<bool, OutOfMemory>) -> Result<(), &'static str> {
    if agrees == Ok(true) { Ok(()) } else { Err(structure) }
}
