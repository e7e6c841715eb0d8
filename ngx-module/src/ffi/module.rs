//! The module as nginx sees it: nginx's tables, filled from the other modules. No module imports this one.

use core::ffi::{c_char, c_void};

use super::codes::{ERROR, OK};
use super::conf::{ConfContext, canary, commands};
use super::guard::guard;
use super::log::Level;
use super::request::content::{self, Registered};
use super::request::{error_page, variables};
use super::{process, sys};
use crate::conf::LocationConf;
use crate::directives;
use crate::handler::Passenger;
use crate::roster_connection::RosterConnection;
use crate::variables::PassengerVariables;

impl Registered for LocationConf {}

static CONTEXT: sys::ngx_http_module_t = sys::ngx_http_module_t {
    preconfiguration: Some(variables::add::<PassengerVariables>),
    postconfiguration: Some(postconfiguration),
    create_main_conf: Some(commands::create_main),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(commands::create_location::<LocationConf>),
    merge_loc_conf: Some(commands::merge_location::<LocationConf>),
};

static mut COMMANDS: [sys::ngx_command_t; directives::TABLE.len() + 1] =
    commands::commands::<LocationConf, { directives::TABLE.len() + 1 }>(&directives::TABLE);

/// The symbol that nginx loads. It has no bit-fields, so the `ngx` crate's structure is equivalent to ours.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "nginx's name for it")]
pub(crate) static mut ngx_http_passenger_module: ngx::ffi::ngx_module_t = ngx::ffi::ngx_module_t {
    version: sys::nginx_version as usize,
    signature: sys::PASSENGER_MODULE_SIGNATURE.as_ptr().cast::<c_char>(),
    ctx: (&raw const CONTEXT).cast_mut().cast::<c_void>(),
    commands: (&raw mut COMMANDS).cast::<ngx::ffi::ngx_command_t>(),
    type_: sys::NGX_HTTP_MODULE as usize,
    init_process: Some(process::init::<RosterConnection>),
    exit_process: Some(process::exit),
    ..ngx::ffi::ngx_module_t::default()
};

ngx::ngx_modules!(ngx_http_passenger_module);

/// The last callback while the configuration is read: a failure makes `nginx -t` fail and a reload keep what runs.
///
/// # Safety
///
/// nginx's call.
unsafe extern "C" fn postconfiguration(cf: *mut sys::ngx_conf_t) -> sys::ngx_int_t {
    // SAFETY: nginx's call.
    let mut cf = unsafe { ConfContext::new(cf) };
    guard(cf.log(), ERROR, || match canary::check(&mut cf) {
        Ok(()) if !content::install_last::<Passenger>(&cf) => ERROR,
        Ok(()) => {
            commands::finish::<LocationConf>(&mut cf);
            error_page::install();
            OK
        }
        Err(what) => {
            cf.report(
                Level::Emerg,
                format_args!(
                    "the passenger module was built for a different nginx: the layout of {what} differs; build the \
                     module with the headers of this nginx"
                ),
            );
            ERROR
        }
    })
}
