//! nginx's error log: lines with a level and nginx's context.

use core::fmt;

use super::sys;

/// The severity of a line, with nginx's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Level {
    /// The configuration cannot be used.
    Emerg = sys::NGX_LOG_EMERG,
    /// An internal error of this module.
    Alert = sys::NGX_LOG_ALERT,
    /// A request has failed.
    Error = sys::NGX_LOG_ERR,
    /// A condition an operator should know of.
    Warn = sys::NGX_LOG_WARN,
}

/// A log that is valid for `'a`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log<'a> {
    raw: *mut sys::ngx_log_t,
    lifetime: core::marker::PhantomData<&'a ()>,
}

impl<'a> Log<'a> {
    /// # Safety
    ///
    /// `raw` is null, for a log that takes nothing, or valid for `'a`.
    pub(super) unsafe fn new(raw: *mut sys::ngx_log_t) -> Self {
        Self { raw, lifetime: core::marker::PhantomData }
    }

    /// Writes one line, which nginx cuts at 2 kB. Control characters in it are escaped, as parts of it come from the app.
    pub(crate) fn write(self, level: Level, line: fmt::Arguments<'_>) {
        if !self.raw.is_null() {
            // SAFETY: the log is valid for `'a` by `new`.
            unsafe { write_line(level, self.raw, line) };
        }
    }

    /// Logs that a request has failed.
    pub(crate) fn error(self, line: fmt::Arguments<'_>) {
        self.write(Level::Error, line);
    }
}

/// Returns the log of this process, for lines that belong to no request. It may change with the next configuration, so
/// it is not kept.
pub(crate) fn of_process() -> Log<'static> {
    // SAFETY: nginx's running configuration always has a log; single thread, and the wrapper is not kept.
    let raw = unsafe { sys::ngx_cycle.as_ref() }.map_or(core::ptr::null_mut(), |cycle| cycle.log);
    // SAFETY: see above.
    unsafe { Log::new(raw) }
}

/// Returns a log that discards all lines, for what nginx would log about a connection that this module logs itself. It
/// is static, so no connection or event outlives it.
pub(super) fn silent() -> *mut sys::ngx_log_t {
    // SAFETY: zero is a valid value of this plain structure, with the level that lets nothing pass.
    static mut SILENT: sys::ngx_log_t = unsafe { core::mem::MaybeUninit::zeroed().assume_init() };
    &raw mut SILENT
}

/// # Safety
///
/// `raw` is a valid log.
unsafe fn write_line(level: Level, raw: *mut sys::ngx_log_t, line: fmt::Arguments<'_>) {
    let line = OneLine(line);
    ngx::ngx_log_error!(level as u32, raw.cast::<ngx::ffi::ngx_log_t>(), "{line}");
}

/// Logs a line about the configuration; nginx adds file and line.
///
/// # Safety
///
/// `cf` is nginx's, during a configuration callback.
pub(super) unsafe fn configuration(level: Level, cf: *mut sys::ngx_conf_t, line: fmt::Arguments<'_>) {
    ngx::ngx_conf_log_error!(level as u32, cf.cast::<ngx::ffi::ngx_conf_t>(), "{line}");
}

/// Text without line breaks and other control characters.
struct OneLine<'a>(fmt::Arguments<'a>);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::write(&mut Escaping(f), self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let clean = part.trim_end_matches(char::is_control);
            self.0.write_str(clean)?;
            write!(self.0, "{}", part[clean.len()..].escape_debug())?;
        }
        Ok(())
    }
}
