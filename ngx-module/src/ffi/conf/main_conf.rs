//! The module's configuration of `http` as a whole, and its position in nginx's arrays.

use core::ptr::NonNull;

use super::ConfContext;
use super::upstream_ref::SocketUpstreams;
use super::worker_tasks::WorkerTasks;
use crate::ffi::module_index;
use crate::ffi::sys;

/// The values that exist once per configuration.
#[derive(Debug, Default)]
pub(in crate::ffi) struct MainConf {
    pub(in crate::ffi) sockets: SocketUpstreams,
    pub(in crate::ffi) worker_tasks: WorkerTasks,
    /// The name of this nginx.
    pub(in crate::ffi) instance: String,
}

/// Returns the configuration that is being read.
///
/// # Errors
///
/// A message; it cannot happen inside `http`.
pub(in crate::ffi) fn of(cf: &ConfContext<'_>) -> Result<NonNull<MainConf>, String> {
    let ctx = cf.get().ctx.cast::<sys::ngx_http_conf_ctx_t>();
    // SAFETY: inside `http {}` nginx keeps its context here, with our main configuration in our place.
    let conf = unsafe { *(*ctx).main_conf.add(module_index::context_index()) };
    NonNull::new(conf.cast()).ok_or_else(|| "the module has no configuration".to_owned())
}

/// Returns the name of this nginx.
///
/// # Errors
///
/// A message; it cannot happen inside `http`.
pub(crate) fn instance(cf: &ConfContext<'_>) -> Result<String, String> {
    let conf = of(cf)?;
    // SAFETY: our main configuration, made by `create_main`; single thread.
    Ok(unsafe { (*conf.as_ptr()).instance.clone() })
}

/// Changes the tasks of the first worker.
///
/// # Errors
///
/// A message; it cannot happen inside `http`.
pub(crate) fn change_worker_tasks(
    cf: &ConfContext<'_>,
    change: impl FnOnce(&mut WorkerTasks),
) -> Result<(), String> {
    let conf = of(cf)?;
    // SAFETY: our main configuration, made by `create_main`; single thread, and `change` calls nothing of nginx.
    change(unsafe { &mut (*conf.as_ptr()).worker_tasks });
    Ok(())
}

/// Returns the tasks of the first worker; `None` without an `http` block.
///
/// # Safety
///
/// `cycle` is the configuration that this process runs with.
pub(in crate::ffi) unsafe fn worker_tasks_of<'c>(
    cycle: NonNull<sys::ngx_cycle_t>,
) -> Option<&'c WorkerTasks> {
    // SAFETY: by this function's contract: nginx keeps the context of `http` in the place of its module, and there our
    // main configuration in our place. It lives as long as the configuration and no longer changes.
    unsafe {
        let http = *cycle.as_ref().conf_ctx.add(sys::ngx_http_module.index);
        let ctx = http.cast::<sys::ngx_http_conf_ctx_t>().as_ref()?;
        let conf = (*ctx.main_conf.add(module_index::context_index())).cast::<MainConf>();
        conf.as_ref().map(|conf| &conf.worker_tasks)
    }
}
