//! Configuration: directives, levels, and nginx's state while it reads them.

pub(crate) mod canary;
pub(crate) mod commands;
pub(crate) mod complex_value;
pub(crate) mod core_conf;
pub(crate) mod global_conf;
pub(crate) mod instance;
pub(crate) mod main_conf;
pub(crate) mod main_phases;
pub(crate) mod pre_start;
pub(crate) mod regex;
pub(crate) mod server_names;
pub(crate) mod slot;
pub(crate) mod upstream_block;
pub(crate) mod upstream_conf;
pub(crate) mod upstream_ref;
pub(crate) mod worker_tasks;

use core::ffi::CStr;
use std::borrow::Cow;

use module_core::manifest::{Position, Statement};
use module_core::value::Refusal;

use super::log::{self, Level, Log};
use super::pool::{OutOfMemory, Pool};
use super::{array, sys};
use slot::Slot;

/// The contexts in which a directive is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contexts(pub(super) u32);

impl Contexts {
    /// In `http`, `server`, `location`, and `if` inside a location.
    pub(crate) const EVERYWHERE: Self = Self(
        sys::NGX_HTTP_MAIN_CONF | sys::NGX_HTTP_SRV_CONF | sys::NGX_HTTP_LOC_CONF | sys::NGX_HTTP_LIF_CONF,
    );
    /// In `http`, `server` and `location`.
    pub(crate) const NOT_IF: Self =
        Self(sys::NGX_HTTP_MAIN_CONF | sys::NGX_HTTP_SRV_CONF | sys::NGX_HTTP_LOC_CONF);
    /// In `location`, but not in an `if` inside it.
    pub(crate) const LOCATION: Self = Self(sys::NGX_HTTP_LOC_CONF);
    /// In `http` only.
    pub(crate) const HTTP: Self = Self(sys::NGX_HTTP_MAIN_CONF);
}

/// The number of arguments of a directive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arity(pub(super) u32);

impl Arity {
    /// None.
    pub(crate) const NONE: Self = Self(sys::NGX_CONF_NOARGS);
    /// One.
    pub(crate) const ONE: Self = Self(sys::NGX_CONF_TAKE1);
    /// Two.
    pub(crate) const TWO: Self = Self(sys::NGX_CONF_TAKE2);
    /// One or more.
    pub(crate) const ONE_OR_MORE: Self = Self(sys::NGX_CONF_1MORE);
    /// One to four.
    pub(crate) const ONE_TO_FOUR: Self =
        Self(sys::NGX_CONF_TAKE1 | sys::NGX_CONF_TAKE2 | sys::NGX_CONF_TAKE3 | sys::NGX_CONF_TAKE4);
}

/// A line of the directive table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directive<M: 'static> {
    /// Its name.
    pub name: &'static CStr,
    /// Where it is allowed.
    pub contexts: Contexts,
    /// The number of its arguments.
    pub arity: Arity,
    /// What it does.
    pub effect: Effect<M>,
}

impl<M> Directive<M> {
    /// Returns the name, for messages.
    pub(crate) fn name(&self) -> &'static str {
        self.name.to_str().unwrap_or_default()
    }
}

/// What a directive does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect<M> {
    /// nginx's own setter fills a field of the upstream's configuration.
    Nginx(Slot),
    /// [`Location::apply`] is called with this.
    Ours(M),
}

/// A level of the configuration, as nginx creates, fills and merges it.
pub(crate) trait Location: Sized + 'static {
    /// The meaning of a directive.
    type Meaning: Sync + 'static;

    /// Offset of its [`UpstreamConf`](super::upstream_conf::UpstreamConf).
    const UPSTREAM_OFFSET: usize;

    /// Returns every directive.
    fn table() -> &'static [Directive<Self::Meaning>];

    /// Returns a level without any directive.
    fn unset() -> Self;

    /// Applies a directive.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which nginx reports with file and line.
    fn apply(
        &mut self,
        directive: &'static Directive<Self::Meaning>,
        cf: &mut ConfContext<'_>,
        args: &[&str],
    ) -> Result<(), Refusal>;

    /// Records each accepted directive, whether [`Location::apply`] or nginx applied it.
    fn note(&mut self, statement: Statement);

    /// Inherits the values of the outer level and prepares the result for requests.
    ///
    /// # Errors
    ///
    /// A message for the operator.
    fn merge(&mut self, outer: &mut Self, cf: &mut ConfContext<'_>) -> Result<(), String>;

    /// Called on the level of `http` when everything is read and merged.
    fn finish(&mut self, cf: &mut ConfContext<'_>);
}

/// nginx's state while it reads the configuration.
pub(crate) struct ConfContext<'c> {
    raw: &'c mut sys::ngx_conf_t,
}

impl<'c> ConfContext<'c> {
    /// # Safety
    ///
    /// `raw` is nginx's, valid for `'c`, and used through nothing else meanwhile.
    pub(super) unsafe fn new(raw: *mut sys::ngx_conf_t) -> Self {
        // SAFETY: by this function's contract.
        let raw = unsafe { &mut *raw };
        Self { raw }
    }

    pub(super) fn as_ptr(&mut self) -> *mut sys::ngx_conf_t {
        self.raw
    }

    pub(super) fn get(&self) -> &sys::ngx_conf_t {
        self.raw
    }

    pub(super) fn pool(&self) -> Result<Pool<'c>, OutOfMemory> {
        // SAFETY: the configuration's pool outlives the callback.
        unsafe { Pool::new(self.raw.pool) }
    }

    pub(super) fn log(&self) -> Log<'c> {
        // SAFETY: the configuration's log outlives the callback.
        unsafe { Log::new(self.raw.log) }
    }

    /// Logs a line; nginx adds file and line number.
    pub(crate) fn report(&mut self, level: Level, line: core::fmt::Arguments<'_>) {
        // SAFETY: `raw` is valid by `new`.
        unsafe { log::configuration(level, self.raw, line) };
    }

    /// Returns the file and line being read. While levels are merged, that is the end of `http`.
    pub(crate) fn position(&self) -> Option<Position> {
        // SAFETY: nginx keeps `conf_file` valid while it parses; it is null for `-g` directives.
        let file = unsafe { self.raw.conf_file.as_ref() }?;
        // SAFETY: the name lives as long as the configuration.
        let name = unsafe { super::text::bytes(file.file.name) };
        Some(Position { file: String::from_utf8_lossy(name).into_owned(), line: file.line })
    }

    /// Returns a path as nginx resolves it: relative paths start at its prefix.
    pub(crate) fn full_path(&mut self, path: &str) -> Result<String, Refusal> {
        let failed = || Refusal::Sentence("out of memory".to_owned());
        let mut text = self.pool().and_then(|pool| pool.text(path.as_bytes())).map_err(|_| failed())?;
        // SAFETY: `text` is a string of the pool; nginx replaces it by another such.
        if unsafe { sys::ngx_conf_full_name(self.raw.cycle, &raw mut text, 0) } != 0 {
            return Err(failed());
        }
        // SAFETY: as above.
        Ok(String::from_utf8_lossy(unsafe { super::text::bytes(text) }).into_owned())
    }

    /// Returns the arguments of the directive.
    pub(super) fn args(&self, directive: &str) -> Result<Vec<&'c str>, Refusal> {
        let text = |word| {
            core::str::from_utf8(word)
                .map_err(|_| Refusal::Sentence(format!("invalid value in \"{directive}\": must be UTF-8")))
        };
        self.words().skip(1).map(text).collect()
    }

    /// Returns the directive that was just applied.
    pub(super) fn statement(&self, directive: &'static str) -> Statement {
        let arguments = self.words().skip(1).map(String::from_utf8_lossy).map(Cow::into_owned);
        Statement { directive, arguments: arguments.collect(), position: self.position() }
    }

    fn words(&self) -> impl Iterator<Item = &'c [u8]> {
        // SAFETY: nginx keeps the words in an array of strings while it calls a directive's setter; the strings
        // themselves live in the configuration's pool.
        let words = unsafe { array::elements::<sys::ngx_str_t>(&*self.raw.args) };
        // SAFETY: see above.
        words.iter().map(|word| unsafe { super::text::bytes::<'c>(*word) })
    }
}
