//! The module's configuration of `http` as a whole, and its position in nginx's arrays.

use core::ptr::NonNull;
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::ConfContext;
use super::pre_start::PreStarts;
use super::upstream_ref::UpstreamRef;
use super::worker_tasks::WorkerTasks;
use crate::ffi::{module_index, sys};

/// The values that exist once per configuration.
#[derive(Debug, Default)]
pub(crate) struct MainConf {
    /// The blocks created for sockets, by path: two locations with the same socket share its connections.
    pub(super) sockets: Vec<(String, UpstreamRef)>,
    pub(crate) worker_tasks: WorkerTasks,
    /// Until the configuration is read.
    pub(crate) pre_starts: PreStarts,
    /// The public directories that were checked for source, until the configuration is read.
    pub(crate) checked_dirs: BTreeSet<PathBuf>,
    /// The name of this nginx.
    pub(crate) instance: String,
}

/// Reads or changes the configuration that is being read.
///
/// # Errors
///
/// A message; it cannot happen inside `http`.
pub(crate) fn with<T>(cf: &ConfContext<'_>, use_it: impl FnOnce(&mut MainConf) -> T) -> Result<T, String> {
    let ctx = cf.get().ctx.cast::<sys::ngx_http_conf_ctx_t>();
    // SAFETY: inside `http {}` nginx keeps its context here, with our main configuration at our index, made by
    // `create_main`; single thread, and `use_it` does not call this function.
    let conf = unsafe { (*(*ctx).main_conf.add(module_index::context_index())).cast::<MainConf>().as_mut() };
    conf.map(use_it).ok_or_else(|| "the module has no configuration".to_owned())
}

/// Returns the tasks of the first worker; `None` without an `http` block.
///
/// # Safety
///
/// `cycle` is the configuration that this process runs with.
pub(in crate::ffi) unsafe fn worker_tasks_of<'c>(
    cycle: NonNull<sys::ngx_cycle_t>,
) -> Option<&'c WorkerTasks> {
    // SAFETY: by this function's contract: nginx keeps the context of `http` at the index of its module, and there our
    // main configuration at our index. It lives as long as the configuration and no longer changes.
    unsafe {
        let http = *cycle.as_ref().conf_ctx.add(sys::ngx_http_module.index);
        let ctx = http.cast::<sys::ngx_http_conf_ctx_t>().as_ref()?;
        let conf = (*ctx.main_conf.add(module_index::context_index())).cast::<MainConf>();
        conf.as_ref().map(|conf| &conf.worker_tasks)
    }
}
