//! The random name of this nginx: generated once by its master, kept in the configuration over reloads, and passed to
//! the next binary in the environment, as the directive `env` does.

use core::ffi::CStr;
use core::ptr::NonNull;

use module_core::instance;

use super::ConfContext;
use super::global_conf::environment;
use crate::ffi::pool::Pool;
use crate::ffi::{array, sys};

/// The variable that passes the name to the next binary.
const VARIABLE: &str = "FLYING_PASSENGER_INSTANCE";

/// The variable in which nginx passes its listening sockets to the next binary.
const INHERITED_SOCKETS: &str = "NGINX";

/// Returns the name, and adds it to the environment that a binary upgrade passes on.
pub(in crate::ffi) fn name(cf: &ConfContext<'_>) -> String {
    let cycle = cf.get().cycle;
    // SAFETY: nginx sets the cycle whose configuration it reads, and in it the one before, which lives until that is done.
    let before = unsafe { cycle.as_ref().and_then(|cycle| environment(cycle.old_cycle)) };
    // SAFETY: `environment` has found it.
    let kept = before.and_then(|before| unsafe { find(before) });
    let name = kept.or_else(inherited).unwrap_or_else(instance::draw);
    // SAFETY: as above.
    if let Some(now) = unsafe { environment(cycle) } {
        // SAFETY: `environment` has found it; single thread.
        unsafe { pass_on(now, &name) };
    }
    name
}

/// Returns the name in the environment of a binary that another nginx has started to replace it.
fn inherited() -> Option<String> {
    std::env::var_os(INHERITED_SOCKETS)?;
    std::env::var(VARIABLE).ok().filter(|name| instance::is_name(name))
}

/// Returns the name in the variables of a configuration.
///
/// # Safety
///
/// `env` comes from [`environment`], and its cycle lives.
unsafe fn find(env: NonNull<sys::ngx_array_t>) -> Option<String> {
    // SAFETY: nginx's array of strings, by this function's contract.
    let variables = unsafe { array::elements::<sys::ngx_str_t>(env.as_ref()) };
    variables.iter().filter(|variable| !variable.data.is_null()).find_map(|variable| {
        // SAFETY: nginx's words, and ours, end with a zero.
        let whole = unsafe { CStr::from_ptr(variable.data.cast()) };
        let name = whole.to_str().ok()?.strip_prefix(VARIABLE)?.strip_prefix('=')?;
        instance::is_name(name).then(|| name.to_owned())
    })
}

/// Adds the name to the variables of a configuration, as `env NAME=value` does: without it, the next binary generates
/// another.
///
/// # Safety
///
/// `env` comes from [`environment`], its cycle lives, and nothing else refers to it.
unsafe fn pass_on(env: NonNull<sys::ngx_array_t>, name: &str) {
    let whole = format!("{VARIABLE}={name}");
    // SAFETY: the array's pool lives as long as its cycle.
    let Some(mut word) =
        unsafe { Pool::new(env.as_ref().pool) }.and_then(|pool| pool.text(whole.as_bytes())).ok()
    else {
        return;
    };
    // nginx expects the `=` after the length, and passes on all bytes up to the final zero.
    word.len = VARIABLE.len();
    // SAFETY: nginx's call; it returns room for one more string of this array, whose size `environment` has checked.
    if let Some(at) = NonNull::new(unsafe { sys::ngx_array_push(env.as_ptr()) }) {
        // SAFETY: as above.
        unsafe { at.cast::<sys::ngx_str_t>().write(word) };
    }
}
