//! Return values of nginx's callbacks.

use super::sys;

pub(super) const OK: sys::ngx_int_t = sys::NGX_OK as sys::ngx_int_t;
pub(super) const ERROR: sys::ngx_int_t = sys::NGX_ERROR as sys::ngx_int_t;
pub(super) const AGAIN: sys::ngx_int_t = sys::NGX_AGAIN as sys::ngx_int_t;
pub(super) const DECLINED: sys::ngx_int_t = sys::NGX_DECLINED as sys::ngx_int_t;
pub(super) const DONE: sys::ngx_int_t = sys::NGX_DONE as sys::ngx_int_t;
pub(super) const INVALID_HEADER: sys::ngx_int_t = sys::NGX_HTTP_UPSTREAM_INVALID_HEADER as sys::ngx_int_t;
pub(super) const INTERNAL_ERROR: sys::ngx_int_t = sys::NGX_HTTP_INTERNAL_SERVER_ERROR as sys::ngx_int_t;
pub(super) const SPECIAL_RESPONSE: sys::ngx_int_t = sys::NGX_HTTP_SPECIAL_RESPONSE as sys::ngx_int_t;
