//! Configuration: nginx's callbacks come in, calls of a [`Location`]'s safe methods go out.

use core::ffi::{CStr, c_char, c_void};
use core::ptr::{NonNull, null_mut};

use module_core::value::Refusal;

use super::guard::{guard, install_quiet_hook};
use super::log::{self, Level, Log};
use super::pool::{OutOfMemory, Pool};
use super::sys;
use super::upstream_block::SocketUpstreams;
use super::upstream_conf::Slot;

/// Where a directive may stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contexts(u32);

impl Contexts {
    /// In `http`, `server`, `location`, and `if` inside a location.
    pub(crate) const EVERYWHERE: Self = Self(
        sys::NGX_HTTP_MAIN_CONF | sys::NGX_HTTP_SRV_CONF | sys::NGX_HTTP_LOC_CONF | sys::NGX_HTTP_LIF_CONF,
    );
    /// In `http`, `server` and `location`.
    pub(crate) const NOT_IF: Self =
        Self(sys::NGX_HTTP_MAIN_CONF | sys::NGX_HTTP_SRV_CONF | sys::NGX_HTTP_LOC_CONF);
    /// In `http` only.
    pub(crate) const HTTP: Self = Self(sys::NGX_HTTP_MAIN_CONF);
}

/// How many words follow a directive's name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arity(u32);

impl Arity {
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
    /// Where it may stand.
    pub contexts: Contexts,
    /// How many words follow.
    pub arity: Arity,
    /// What it does.
    pub effect: Effect<M>,
}

impl<M> Directive<M> {
    /// The name, for messages.
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
    /// What distinguishes one directive from another.
    type Meaning: Sync + 'static;

    /// Where its [`UpstreamConf`](super::upstream_conf::UpstreamConf) lies.
    const UPSTREAM_OFFSET: usize;

    /// A level on which nothing is written yet.
    fn unset() -> Self;

    /// Takes in a directive.
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

    /// Takes over what the outer level says, and makes the result usable.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    fn merge(&mut self, outer: &mut Self, cf: &mut ConfContext<'_>) -> Result<(), String>;
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

    /// Writes a line; nginx adds file and line number.
    pub(crate) fn report(&mut self, level: Level, line: core::fmt::Arguments<'_>) {
        // SAFETY: `raw` is valid by `new`.
        unsafe { log::configuration(level, self.raw, line) };
    }

    /// File and line being read, such as `/etc/nginx/nginx.conf:12`.
    pub(crate) fn position(&self) -> Option<String> {
        // SAFETY: nginx keeps `conf_file` valid while it parses; it is null for `-g` directives.
        let file = unsafe { self.raw.conf_file.as_ref() }?;
        // SAFETY: the name lives as long as the configuration.
        let name = unsafe { super::text::bytes(file.file.name) };
        Some(format!("{}:{}", String::from_utf8_lossy(name), file.line))
    }

    /// A path as nginx understands it: relative ones begin at its prefix.
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

    /// The words behind the directive's name.
    fn args(&self) -> Result<Vec<&'c str>, Refusal> {
        // SAFETY: nginx keeps the words in an array of strings while it calls a directive's setter; the strings
        // themselves live in the configuration's pool.
        let words = unsafe {
            let args = &*self.raw.args;
            core::slice::from_raw_parts(args.elts.cast::<sys::ngx_str_t>(), args.nelts)
        };
        let text = |word: &sys::ngx_str_t| {
            // SAFETY: see above.
            let bytes = unsafe { super::text::bytes::<'c>(*word) };
            core::str::from_utf8(bytes).map_err(|_| Refusal::Sentence("a value is not UTF-8".to_owned()))
        };
        words.iter().skip(1).map(text).collect()
    }
}

/// Of type `char *`, what a configuration callback returns when it has reported its failure.
pub(super) const CONF_ERROR: *mut c_char = core::ptr::without_provenance_mut(usize::MAX);

/// Makes nginx's command table from ours. `N` is one more than the number of lines, as nginx wants a final empty one.
pub(super) const fn commands<L: Location, const N: usize>(
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
        Effect::Nginx(slot) => (slot.set, L::UPSTREAM_OFFSET + slot.offset, slot.post()),
        Effect::Ours(_) => (set::<L>, 0, core::ptr::from_ref(directive).cast_mut().cast()),
    };
    sys::ngx_command_t {
        // nginx compares it up to the zero behind it.
        name: super::text::over(directive.name.to_bytes()),
        type_: (directive.contexts.0 | directive.arity.0) as usize,
        set: Some(set),
        conf: core::mem::offset_of!(sys::ngx_http_conf_ctx_t, loc_conf),
        offset,
        post,
    }
}

/// A directive's setter.
pub(super) type Set =
    unsafe extern "C" fn(*mut sys::ngx_conf_t, *mut sys::ngx_command_t, *mut c_void) -> *mut c_char;

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
        let applied = cf.args().and_then(|args| conf.apply(directive, &mut cf, &args));
        match applied {
            Ok(()) => null_mut(),
            // nginx completes these two to `"name" directive is duplicate` with file and line.
            Err(Refusal::Duplicate) => c_text(c"is duplicate"),
            Err(Refusal::InvalidNumber) => c_text(c"invalid number"),
            Err(Refusal::Sentence(text)) => {
                cf.report(Level::Emerg, format_args!("{text}"));
                CONF_ERROR
            }
        }
    })
}

fn c_text(text: &'static CStr) -> *mut c_char {
    text.as_ptr().cast_mut()
}

/// nginx's `create_main_conf`: the upstream blocks made for sockets.
///
/// # Safety
///
/// nginx's call.
pub(super) unsafe extern "C" fn create_main(cf: *mut sys::ngx_conf_t) -> *mut c_void {
    install_quiet_hook();
    // SAFETY: nginx's call.
    let cf = unsafe { ConfContext::new(cf) };
    guard(cf.log(), null_mut(), || into_pool(&cf, SocketUpstreams::default()))
}

/// nginx's `create_loc_conf`.
///
/// # Safety
///
/// nginx's call.
pub(super) unsafe extern "C" fn create_location<L: Location>(cf: *mut sys::ngx_conf_t) -> *mut c_void {
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
pub(super) unsafe extern "C" fn merge_location<L: Location>(
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
