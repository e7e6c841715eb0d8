//! nginx's command table and its callbacks while it reads the configuration, which call the safe methods of a
//! [`Location`].

use core::ffi::{CStr, c_char, c_void};
use core::ptr::{NonNull, null_mut};

use module_core::value::Refusal;

use super::main_conf::MainConf;
use super::slot::Set;
use super::{ConfContext, Directive, Effect, Location, instance};
use crate::ffi::guard::{guard, install_quiet_hook};
use crate::ffi::log::Level;
use crate::ffi::{module_index, sys, text};

/// The `char *` that a configuration callback returns when it has reported its failure.
pub(in crate::ffi) const CONF_ERROR: *mut c_char = core::ptr::without_provenance_mut(usize::MAX);

/// Creates nginx's command table from ours. `N` is one more than the number of lines, as nginx needs a final empty one.
pub(in crate::ffi) const fn commands<L: Location, const N: usize>(
    table: &'static [Directive<L::Meaning>],
) -> [sys::ngx_command_t; N] {
    let mut commands = [const { EMPTY }; N];
    let mut at = 0;
    while at < table.len() {
        commands[at] = command::<L>(&table[at]);
        at += 1;
    }
    commands
}

const EMPTY: sys::ngx_command_t = sys::ngx_command_t {
    name: sys::ngx_str_t { len: 0, data: null_mut() },
    type_: 0,
    set: None,
    conf: 0,
    offset: 0,
    post: null_mut(),
};

const fn command<L: Location>(directive: &'static Directive<L::Meaning>) -> sys::ngx_command_t {
    let (set, offset, post): (Set, usize, *mut c_void) = match &directive.effect {
        Effect::Nginx(slot) => (set_slot::<L>, L::UPSTREAM_OFFSET + slot.offset, slot.post()),
        Effect::Ours(_) => (set::<L>, 0, core::ptr::from_ref(directive).cast_mut().cast()),
    };
    sys::ngx_command_t {
        // nginx compares it up to the zero after it.
        name: text::over(directive.name.to_bytes()),
        type_: (directive.contexts.0 | directive.arity.0) as usize,
        set: Some(set),
        conf: core::mem::offset_of!(sys::ngx_http_conf_ctx_t, loc_conf),
        offset,
        post,
    }
}

/// Calls [`Location::apply`] for nginx.
///
/// # Safety
///
/// nginx's call; `command` comes from [`commands`] of the same `L`, and `conf` from [`create_location`].
unsafe extern "C" fn set<L: Location>(
    cf: *mut sys::ngx_conf_t,
    command: *mut sys::ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx's call.
    let mut cf = unsafe { ConfContext::new(cf) };
    // SAFETY: `command` put a static line of the table there.
    let directive: &'static Directive<L::Meaning> = unsafe { &*(*command).post.cast() };
    // SAFETY: `conf` is an `L` by this function's contract; single thread, so nothing else refers to it.
    let conf = unsafe { &mut *conf.cast::<L>() };

    guard(cf.log(), CONF_ERROR, || {
        let statement = cf.statement(directive.name());
        let applied = cf.args(directive.name()).and_then(|args| conf.apply(directive, &mut cf, &args));
        match applied {
            Ok(()) => {
                conf.note(statement);
                null_mut()
            }
            // nginx completes it to `"name" directive is duplicate` with file and line.
            Err(Refusal::Duplicate) => c_text(c"is duplicate"),
            Err(Refusal::Sentence(text)) => {
                cf.report(Level::Emerg, format_args!("{text}"));
                CONF_ERROR
            }
        }
    })
}

/// Calls nginx's own setter for its field.
///
/// # Safety
///
/// As for [`set`].
unsafe extern "C" fn set_slot<L: Location>(
    cf: *mut sys::ngx_conf_t,
    command: *mut sys::ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx's call.
    let mut cf = unsafe { ConfContext::new(cf) };
    guard(cf.log(), CONF_ERROR, || {
        // SAFETY: `command` is a line of the table, with a static name.
        let name = unsafe { text::bytes((*command).name) };
        let Some(directive) = L::table().iter().find(|each| each.name.to_bytes() == name) else {
            return CONF_ERROR;
        };
        let Effect::Nginx(slot) = directive.effect else {
            return CONF_ERROR;
        };
        let statement = cf.statement(directive.name());
        // SAFETY: nginx's call, handed on; `command` and `conf` are such that its setter finds its field.
        let refusal = unsafe { (slot.set)(cf.as_ptr(), command, conf) };
        if refusal.is_null() {
            // SAFETY: `conf` is an `L` by this function's contract; single thread, and nginx's setter has returned.
            unsafe { (*conf.cast::<L>()).note(statement) };
        }
        refusal
    })
}

fn c_text(text: &'static CStr) -> *mut c_char {
    text.as_ptr().cast_mut()
}

/// nginx's `create_main_conf`.
///
/// # Safety
///
/// nginx's call.
pub(in crate::ffi) unsafe extern "C" fn create_main(cf: *mut sys::ngx_conf_t) -> *mut c_void {
    install_quiet_hook();
    // SAFETY: nginx's call.
    let cf = unsafe { ConfContext::new(cf) };
    guard(cf.log(), null_mut(), || {
        let conf = MainConf { instance: instance::name(&cf), ..MainConf::default() };
        into_pool(&cf, conf)
    })
}

/// nginx's `create_loc_conf`.
///
/// # Safety
///
/// nginx's call.
pub(in crate::ffi) unsafe extern "C" fn create_location<L: Location>(
    cf: *mut sys::ngx_conf_t,
) -> *mut c_void {
    // SAFETY: nginx's call.
    let cf = unsafe { ConfContext::new(cf) };
    guard(cf.log(), null_mut(), || into_pool(&cf, L::unset()))
}

fn into_pool<T>(cf: &ConfContext<'_>, value: T) -> *mut c_void {
    cf.pool().and_then(|pool| pool.place(value)).map_or(null_mut(), |at: NonNull<T>| at.as_ptr().cast())
}

/// nginx's `merge_loc_conf`.
///
/// # Safety
///
/// nginx's call; both levels come from [`create_location`] of the same `L`.
pub(in crate::ffi) unsafe extern "C" fn merge_location<L: Location>(
    cf: *mut sys::ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx's call.
    let mut cf = unsafe { ConfContext::new(cf) };
    // SAFETY: two distinct levels by this function's contract; single thread.
    let (outer, inner) = unsafe { (&mut *outer.cast::<L>(), &mut *inner.cast::<L>()) };

    guard(cf.log(), CONF_ERROR, || match inner.merge(outer, &mut cf) {
        Ok(()) => null_mut(),
        Err(text) => {
            cf.report(Level::Emerg, format_args!("{text}"));
            CONF_ERROR
        }
    })
}

/// Calls [`Location::finish`] of the level of `http`.
pub(in crate::ffi) fn finish<L: Location>(cf: &mut ConfContext<'_>) {
    let ctx = cf.get().ctx.cast::<sys::ngx_http_conf_ctx_t>();
    // SAFETY: inside `http {}` nginx keeps its context here, with what `create_location::<L>` returned at our place;
    // single thread, so nothing else refers to it.
    unsafe { (*(*(*ctx).loc_conf.add(module_index::context_index())).cast::<L>()).finish(cf) };
}
