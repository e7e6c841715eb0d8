//! The environment of an app process, built from the daemon's own, Passenger's variables and the app's settings.
//!
//! A pure function: later sources override earlier ones. nginx's environment and shells are not involved.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use protocol::request::AppKind;

use super::login_shell::Changes;
use common::link::SpawnSpec;
use common::secrets;
use common::sys::accounts::Account;

/// Variables by name.
pub type Environment = BTreeMap<OsString, OsString>;

/// Inherited regardless of the operator's list.
const ALWAYS: [&str; 4] = ["PATH", "TZ", "LANG", "LC_*"];
/// Most bytes of names and values that are sent to the router.
const MAX_SHOWN: usize = 64 * 1024;
/// Used when the daemon was started without `PATH`.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Variables for the daemon only, set by its packaging or by systemd.
const OWN_PREFIXES: [&str; 3] = ["FLYING_", "LISTEN_", "WATCHDOG_"];
/// When none of these is set, as in many services, Ruby reads source files as US-ASCII and rejects other characters.
const LOCALE_NAMES: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];
const USUAL_LANG: &str = "C.UTF-8";
const OWN_NAMES: [&str; 1] = ["NOTIFY_SOCKET"];
const ENVIRONMENT_NAMES: [&str; 5] = ["RAILS_ENV", "RACK_ENV", "WSGI_ENV", "NODE_ENV", "PASSENGER_APP_ENV"];
const BASE_URI_NAMES: [&str; 3] = ["RAILS_RELATIVE_URL_ROOT", "RACK_BASE_URI", "PASSENGER_BASE_URI"];

/// The values that are determined when a process is started and passed to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reported<'a> {
    /// The account of its user, if that user has an entry.
    pub(super) account: Option<&'a Account>,
    /// The variables of its environment file.
    pub(super) env_file: &'a [(String, String)],
    /// The startup file, absolute; `None` for generic apps.
    pub(super) startup_file: Option<&'a Path>,
    /// The port to listen on; `None` when a socket is handed over.
    pub(super) port: Option<u16>,
    /// The path at which it opens a socket itself.
    pub(super) socket: Option<&'a Path>,
    /// What its loader learns of native support.
    pub(super) native: Option<&'a OsStr>,
    /// Whether its listening socket is the first descriptor after standard error, as with systemd.
    pub(super) has_listener: bool,
}

/// Returns the daemon's own environment, without what concerns only the daemon and, if there is a list, limited to what
/// `listed` names.
pub(crate) fn inherited(
    all: impl Iterator<Item = (OsString, OsString)>,
    listed: Option<&[String]>,
) -> Environment {
    let is_listed = |name: &OsStr| {
        let always = ALWAYS.iter().any(|pattern| matches(pattern, name));
        always || listed.is_none_or(|listed| listed.iter().any(|pattern| matches(pattern, name)))
    };
    let mut kept: Environment = all.filter(|(name, _)| !is_own(name) && is_listed(name)).collect();
    kept.entry("PATH".into()).or_insert_with(|| USUAL_PATH.into());
    if !LOCALE_NAMES.iter().any(|name| kept.contains_key(OsStr::new(name))) {
        kept.insert("LANG".into(), USUAL_LANG.into());
    }
    kept
}

/// Returns the variables that the owner of an app may see, because each process of the app inherits them; `None` if they
/// are too long for a message to the router.
pub(crate) fn shown_to_owners(inherited: &Environment) -> Option<Vec<(String, String)>> {
    let text = |text: &OsStr| text.to_str().map(str::to_owned);
    let all = inherited.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
    let all: Vec<_> = all.collect();
    let size: usize = all.iter().map(|(name, value)| name.len() + value.len()).sum();
    (size <= MAX_SHOWN).then_some(all)
}

/// Returns the names of variables that look like secrets.
pub(crate) fn secrets(environment: &Environment) -> Vec<String> {
    let secret = |(name, value): (&OsString, &OsString)| {
        let name = name.to_str()?;
        secrets::is_secret(name, &value.to_string_lossy()).then(|| name.to_owned())
    };
    environment.iter().filter_map(secret).collect()
}

/// Whether the name matches. A pattern is a name, or a prefix followed by `*`.
fn matches(pattern: &str, name: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => name.as_bytes().starts_with(begin.as_bytes()),
        None => name == pattern,
    }
}

/// Whether the variable is for the daemon or its loaders only.
pub(super) fn is_own(name: &OsStr) -> bool {
    let own = |prefix: &str| name.as_bytes().starts_with(prefix.as_bytes());
    OWN_NAMES.iter().any(|own| name == *own) || OWN_PREFIXES.into_iter().any(own)
}

/// Returns the environment of one app process.
pub(super) fn build(inherited: &Environment, changes: &Changes) -> Environment {
    let mut environment = inherited.clone();
    for (name, value) in changes {
        match value {
            Some(value) => environment.insert(name.clone(), value.clone()),
            None => environment.remove(name),
        };
    }
    environment
}

/// Returns what is set and unset for one app process, regardless of what it inherits.
pub(super) fn changes(spec: &SpawnSpec, reported: Reported<'_>) -> Changes {
    let mut changes = Changes::new();
    set_passengers(&mut changes, spec);
    set_account(&mut changes, reported.account);
    // What nginx.conf sets takes precedence over the file.
    for (name, value) in reported.env_file.iter().chain(&spec.settings.env_var) {
        changes.insert(name.into(), Some(value.into()));
    }
    // These override the app's own settings: without them the app could not be reached.
    set_ours(&mut changes, spec, reported);
    changes
}

fn set_passengers(changes: &mut Changes, spec: &SpawnSpec) {
    let mut set = |name: &str, value: &OsStr| {
        changes.insert(name.into(), Some(value.into()));
    };
    set("IN_PASSENGER", "1".as_ref());
    set("PYTHONUNBUFFERED", "1".as_ref());
    set("SERVER_SOFTWARE", spec.server_software.as_ref());
    set("PWD", spec.root.as_ref());
    for name in ENVIRONMENT_NAMES {
        set(name, spec.settings.app_env.as_ref());
    }
    for name in BASE_URI_NAMES {
        let base_uri = (!spec.base_uri.is_empty()).then(|| spec.base_uri.as_str().into());
        changes.insert(name.into(), base_uri);
    }
}

/// Sets the variables of the user. Without an entry they are unset, not left as those of the daemon's user.
fn set_account(changes: &mut Changes, account: Option<&Account>) {
    let values: [(&str, Option<&OsStr>); 4] = [
        ("USER", account.map(|account| account.name.as_ref())),
        ("LOGNAME", account.map(|account| account.name.as_ref())),
        ("HOME", account.map(|account| account.home.as_ref())),
        ("SHELL", account.map(|account| account.shell.as_ref())),
    ];
    for (name, value) in values {
        changes.insert(name.into(), value.map(Into::into));
    }
}

fn set_ours(changes: &mut Changes, spec: &SpawnSpec, reported: Reported<'_>) {
    let mut set = |name: &str, value: OsString| {
        changes.insert(name.into(), Some(value));
    };
    if let Some(port) = reported.port {
        set("PORT", port.to_string().into());
    }
    if let Some(path) = reported.socket {
        set("SOCKET", path.into());
    }
    if reported.has_listener {
        // `LISTEN_PID`, which is required too, is not known before the process exists.
        set("LISTEN_FDS", "1".into());
        set("LISTEN_FDNAMES", "app".into());
    }
    if let Some(file) = reported.startup_file {
        set("FLYING_PASSENGER_STARTUP_FILE", file.into());
    }
    if !matches!(spec.kind, AppKind::Generic | AppKind::Meteor) {
        set("FLYING_PASSENGER_GROUP", spec.group.as_str().into());
    }
    if matches!(spec.kind, AppKind::Ruby | AppKind::Python) && spec.threads > 1 {
        set("FLYING_PASSENGER_THREADS", spec.threads.to_string().into());
    }
    if let Some(native) = reported.native {
        set("FLYING_PASSENGER_NATIVE", native.into());
    }
    if spec.kind == AppKind::Ruby && spec.settings.preload_bundler {
        set("FLYING_PASSENGER_PRELOAD_BUNDLER", "1".into());
    }
    if spec.kind == AppKind::Python && spec.settings.wsgi_encoded_path {
        set("FLYING_PASSENGER_ENCODED_PATH", "1".into());
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::super::tests::spec;
    use super::*;

    fn build(inherited: &Environment, spec: &SpawnSpec, reported: Reported<'_>) -> Environment {
        super::build(inherited, &changes(spec, reported))
    }

    fn of(pairs: &[(&str, &str)]) -> Environment {
        inherited(pairs.iter().map(|(name, value)| (name.into(), value.into())), None)
    }

    fn get<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
        environment.get(OsStr::new(name)).and_then(|value| value.to_str())
    }

    const NOTHING: Reported<'static> = Reported {
        account: None,
        env_file: &[],
        startup_file: None,
        port: None,
        socket: None,
        native: None,
        has_listener: false,
    };

    #[test]
    fn later_sources_override_earlier_ones() {
        let daemon = of(&[("LANG", "C"), ("RAILS_ENV", "daemon"), ("WSGI_ENV", "daemon"), ("TZ", "UTC")]);
        let mut spec = spec(AppKind::Ruby, "/app");
        spec.settings.app_env = "staging".into();
        spec.settings.env_var = vec![("RAILS_ENV".into(), "mine".into()), ("TZ".into(), "CET".into())];
        let environment = build(&daemon, &spec, NOTHING);
        for (name, value) in
            [("LANG", "C"), ("RAILS_ENV", "mine"), ("WSGI_ENV", "staging"), ("TZ", "CET"), ("PWD", "/app")]
        {
            assert_eq!(get(&environment, name), Some(value), "{name}");
        }
        assert_eq!(get(&environment, "IN_PASSENGER"), Some("1"));
        assert_eq!(get(&environment, "PYTHONUNBUFFERED"), Some("1"));
    }

    #[test]
    fn a_file_overrides_the_daemon_and_not_the_directives() {
        let daemon = of(&[("TZ", "UTC"), ("LANG", "C")]);
        let mut spec = spec(AppKind::Generic, "/app");
        spec.settings.env_var = vec![("A".into(), "directive".into())];
        let file = [("A", "file"), ("TZ", "file"), ("PORT", "1"), ("RAILS_ENV", "file")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let reported = Reported { env_file: &file, port: Some(5000), ..NOTHING };
        let environment = build(&daemon, &spec, reported);
        for (name, value) in [("A", "directive"), ("TZ", "file"), ("PORT", "5000"), ("RAILS_ENV", "file")] {
            assert_eq!(get(&environment, name), Some(value), "{name}");
        }
    }

    #[test]
    fn variables_of_the_daemon_are_not_inherited() {
        let daemon = of(&[
            ("NOTIFY_SOCKET", "/run/x"),
            ("LISTEN_FDS", "1"),
            ("LISTEN_PID", "1"),
            ("WATCHDOG_USEC", "1"),
            ("FLYING_PASSENGER_X", "1"),
            ("LISTENING", "kept"),
        ]);
        let names: Vec<_> = daemon.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["LANG", "LISTENING", "PATH"]);
    }

    #[test]
    fn the_base_uri_is_unset_at_the_root_even_when_the_daemon_had_one() {
        let daemon = of(&[("RACK_BASE_URI", "/daemons")]);
        let mut spec = spec(AppKind::Ruby, "/app");
        assert_eq!(get(&build(&daemon, &spec, NOTHING), "RACK_BASE_URI"), None);
        spec.base_uri = "/shop".into();
        for name in BASE_URI_NAMES {
            assert_eq!(get(&build(&daemon, &spec, NOTHING), name), Some("/shop"), "{name}");
        }
    }

    #[test]
    fn the_users_variables_are_the_apps_users_or_none() {
        let daemon = of(&[("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root"), ("SHELL", "/bin/bash")]);
        let account = Account {
            name: "alice".into(),
            uid: Uid::from_raw(1),
            gid: Gid::from_raw(1),
            home: "/home/alice".into(),
            shell: "/bin/zsh".into(),
        };
        let spec = spec(AppKind::Python, "/app");
        let alices = build(&daemon, &spec, Reported { account: Some(&account), ..NOTHING });
        assert_eq!(get(&alices, "HOME"), Some("/home/alice"));
        assert_eq!(get(&alices, "LOGNAME"), Some("alice"));
        let nobodys = build(&daemon, &spec, NOTHING);
        for name in ["HOME", "USER", "LOGNAME", "SHELL"] {
            assert_eq!(get(&nobodys, name), None, "{name}");
        }
    }

    #[test]
    fn settings_cannot_override_the_port() {
        let mut spec = spec(AppKind::Generic, "/app");
        spec.settings.env_var = vec![("PORT".into(), "1".into())];
        let environment = build(&of(&[]), &spec, Reported { port: Some(5000), ..NOTHING });
        assert_eq!(get(&environment, "PORT"), Some("5000"));
        assert_eq!(get(&environment, "FLYING_PASSENGER_GROUP"), None);
    }

    #[test]
    fn only_python_receives_the_encoded_path_setting() {
        for (kind, wanted, value) in
            [(AppKind::Python, true, Some("1")), (AppKind::Python, false, None), (AppKind::Ruby, true, None)]
        {
            let mut spec = spec(kind, "/app");
            spec.settings.wsgi_encoded_path = wanted;
            let environment = build(&of(&[]), &spec, NOTHING);
            assert_eq!(get(&environment, "FLYING_PASSENGER_ENCODED_PATH"), value);
        }
    }

    #[test]
    fn a_list_limits_what_is_inherited_and_secrets_are_named() {
        let all =
            [("PATH", "/x"), ("LC_ALL", "C"), ("AWS_SECRET_ACCESS_KEY", "s"), ("SHOP_A", "1"), ("SHOP", "2")];
        let all = || all.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        assert_eq!(secrets(&inherited(all(), None)), ["AWS_SECRET_ACCESS_KEY"]);
        let listed = ["SHOP_*".to_owned()];
        let kept: Vec<_> = inherited(all(), Some(&listed)).into_keys().collect();
        assert_eq!(kept, ["LC_ALL", "PATH", "SHOP_A"]);
    }

    #[test]
    fn the_locale_is_utf_8_unless_one_is_set() {
        let lang = |pairs: &[(&str, &str)]| {
            let all = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
            get(&inherited(all, None), "LANG").map(str::to_owned)
        };
        assert_eq!(lang(&[]).as_deref(), Some("C.UTF-8"));
        assert_eq!(lang(&[("LANG", "de_DE.UTF-8")]).as_deref(), Some("de_DE.UTF-8"));
        assert_eq!(lang(&[("LC_ALL", "C")]), None);
        assert_eq!(lang(&[("LC_CTYPE", "en_GB")]), None);
    }
}
