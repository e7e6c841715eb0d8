//! The `upstream {}` block for a socket, with nginx's own keep-alive.
//!
//! nginx's keep-alive module works only for blocks in the configuration. So the block is written in nginx's own
//! language and passed to nginx's parser: this depends least on nginx's internals, and all of nginx's limits apply.

use core::mem::MaybeUninit;
use core::ptr::{NonNull, null_mut};

use super::upstream_ref::UpstreamRef;
use super::{ConfContext, main_conf};
use crate::ffi::{array, sys, text};

/// Returns the block for a socket, created at its first use.
///
/// # Errors
///
/// A message; nginx's parser has reported details.
pub(crate) fn for_socket(cf: &mut ConfContext<'_>, path: &str) -> Result<UpstreamRef, String> {
    let (found, number) = main_conf::with(cf, |conf| {
        let found = conf.sockets.iter().find(|(known, _)| known == path).map(|(_, upstream)| *upstream);
        (found, conf.sockets.len())
    })?;
    if let Some(upstream) = found {
        return Ok(upstream);
    }
    // nginx compares names of blocks case-insensitively, so the path itself cannot be the name.
    let name = format!("flying_passenger_{number}");
    parse(cf, &block_text(&name, path))?;
    let upstream = named(cf, &name).ok_or("the upstream block for the socket was not created")?;
    main_conf::with(cf, |conf| conf.sockets.push((path.to_owned(), upstream)))?;
    Ok(upstream)
}

/// Returns the upstream block of this name, if the configuration contains one.
pub(crate) fn named(cf: &ConfContext<'_>, name: &str) -> Option<UpstreamRef> {
    let ctx = cf.get().ctx.cast::<sys::ngx_http_conf_ctx_t>();
    // SAFETY: inside `http {}` nginx keeps its context here; the upstream module is built into every nginx that can
    // load this module, as the module needs its functions. Its array holds pointers to blocks.
    let blocks = unsafe {
        let main = *(*ctx).main_conf.add(sys::ngx_http_upstream_module.ctx_index);
        let blocks = &(*main.cast::<sys::ngx_http_upstream_main_conf_t>()).upstreams;
        array::elements::<NonNull<sys::ngx_http_upstream_srv_conf_t>>(blocks)
    };
    let is_named = |block: &&NonNull<sys::ngx_http_upstream_srv_conf_t>| {
        // SAFETY: blocks live as long as the configuration. Those without `srv_conf` are no blocks but addresses.
        unsafe {
            let block = block.as_ref();
            !block.srv_conf.is_null() && text::bytes(block.host).eq_ignore_ascii_case(name.as_bytes())
        }
    };
    blocks.iter().find(is_named).map(|block| UpstreamRef::of(*block))
}

/// Returns a block with as many idle connections as a worker may need. The daemon must not close one before nginx does,
/// since a POST on a connection that was just closed cannot be repeated.
fn block_text(name: &str, path: &str) -> String {
    format!(
        "upstream {name} {{ server unix:{path}; keepalive 256; keepalive_requests 1000000000; \
         keepalive_timeout 10m; }} }}"
    )
}

/// Runs nginx's parser on `block`, which ends with one closing brace more than it opens.
fn parse(cf: &mut ConfContext<'_>, block: &str) -> Result<(), String> {
    let pool = cf.pool().map_err(|_| "out of memory")?;
    let start = pool.copy(&[block.as_bytes()]).map_err(|_| "out of memory")?.as_ptr();
    // SAFETY: zero is a valid value of these plain structures.
    let (mut file, mut buffer): (sys::ngx_conf_file_t, sys::ngx_buf_t) =
        unsafe { (MaybeUninit::zeroed().assume_init(), MaybeUninit::zeroed().assume_init()) };
    buffer.start = start;
    buffer.pos = start;
    // SAFETY: the copy is `block.len()` bytes long.
    buffer.last = unsafe { start.add(block.len()) };
    buffer.end = buffer.last;
    file.buffer = &raw mut buffer;
    // Neither a file nor "no file", which would mean a command line parameter, where blocks are refused.
    file.file.fd = -2;
    // SAFETY: nginx keeps `conf_file` valid while it calls a directive's setter. Errors and the block itself then
    // name the line of the directive.
    if let Some(outer) = unsafe { cf.get().conf_file.as_ref() } {
        file.file.name = outer.file.name;
        file.line = outer.line;
    }
    // SAFETY: nginx's `ngx_conf_t` is plain data that nginx itself copies like this for nested blocks. `args` is
    // fresh, as the words of the directive being set are still in use.
    unsafe {
        let mut nested: sys::ngx_conf_t = core::ptr::read(cf.as_ptr());
        nested.args = sys::ngx_array_create(nested.pool, 10, size_of::<sys::ngx_str_t>());
        if nested.args.is_null() {
            return Err("out of memory".to_owned());
        }
        nested.conf_file = &raw mut file;
        nested.cmd_type = sys::NGX_HTTP_MAIN_CONF as usize;
        nested.module_type = sys::NGX_HTTP_MODULE as usize;
        nested.handler = None;
        if !sys::ngx_conf_parse(&raw mut nested, null_mut()).is_null() {
            return Err("nginx rejected the upstream block for the socket".to_owned());
        }
    }
    Ok(())
}
