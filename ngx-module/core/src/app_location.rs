//! The location of an application: its root, group and type, derived from the directory that nginx maps a request to.
//! [`AppLocations`](crate::app_locations::AppLocations) caches the results.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

pub use detection::exposed_source;
use detection::{DetectError, Detected};
use protocol::request::AppKind;

use crate::app_kind::AppType;
use crate::nothing_found::NothingFound;

/// The configuration of a location's application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppConf {
    /// `passenger_app_root`.
    pub root: Option<String>,
    /// `passenger_app_group_name`.
    pub group: Option<String>,
    /// `passenger_app_env`, or its default.
    pub env: String,
    /// `passenger_app_type`.
    pub kind: Option<AppType>,
    /// `passenger_app_start_command`.
    pub start_command: Option<String>,
    /// `passenger_startup_file`.
    pub startup_file: Option<String>,
    /// The directory depends on the request, as with variables in `root`.
    pub varies: bool,
}

/// The result of a search in an application's root; `None` for no application: nginx serves the location.
pub type Lookup = Result<Option<Detected>, DetectError>;

/// The location of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppLocation {
    /// The application's public directory.
    pub public_dir: Vec<u8>,
    /// The application's directory.
    pub root: Vec<u8>,
    /// Its process group; never empty.
    pub group: Vec<u8>,
    /// The application found there.
    pub lookup: Lookup,
    /// Why there is none, where one was expected; `None` where nginx serves the location without one.
    pub nothing_found: Option<NothingFound>,
    pub(crate) under_base: bool,
    /// When it was determined, in seconds.
    pub(crate) at: i64,
}

impl AppLocation {
    pub(crate) fn resolve(conf: &AppConf, public_dir: &[u8], under_base: bool, at: i64) -> Self {
        let (root, group) = locate(conf, public_dir, under_base);
        let lookup = find_app(conf, &root);
        let nothing_found = (lookup == Ok(None)).then(|| NothingFound::of(conf, &root)).flatten();
        Self { public_dir: public_dir.to_vec(), root, group, lookup, nothing_found, under_base, at }
    }
}

/// Returns the application's directory and the name of its process group.
pub fn locate(conf: &AppConf, public_dir: &[u8], under_base: bool) -> (Vec<u8>, Vec<u8>) {
    let root = match &conf.root {
        Some(root) => root.clone().into_bytes(),
        None if under_base => parent(&resolved(public_dir)).to_vec(),
        None => parent(public_dir).to_vec(),
    };
    let group = match &conf.group {
        Some(group) if !group.is_empty() => group.clone().into_bytes(),
        _ => [root.as_slice(), b" (", conf.env.as_bytes(), b")"].concat(),
    };
    (root, group)
}

/// Searches for the application in a root.
///
/// # Errors
///
/// [`DetectError`] when the directory cannot be read.
pub fn find_app(conf: &AppConf, root: &[u8]) -> Lookup {
    if is_made_up(conf, root) {
        return Ok(None);
    }
    let directory = Path::new(OsStr::from_bytes(root));
    match (&conf.start_command, conf.kind) {
        (Some(command), _) => Ok(Some(Detected::of_command(command))),
        (None, Some(AppType::Known(kind))) if conf.startup_file.is_some() || kind.loader().is_none() => {
            Ok(Some(Detected::configured(kind)))
        }
        (None, Some(AppType::Known(kind))) => Ok(Some(detection::detect_file(directory, kind))),
        (None, Some(AppType::Unknown)) => Ok(None),
        (None, None) => detect(conf, directory),
    }
}

/// Detects the type. A configured startup file takes precedence over the one that is found.
fn detect(conf: &AppConf, directory: &Path) -> Lookup {
    let Some(file) = &conf.startup_file else {
        return detection::detect(directory);
    };
    if let Some(kind) = AppKind::of_file(file) {
        return Ok(Some(Detected::configured(kind)));
    }
    let found = detection::detect(directory)?;
    Ok(found
        .map(|found| if found.kind.loader().is_some() { Detected::configured(found.kind) } else { found }))
}

/// Whether a client may have made up the name of the directory, which does not exist.
pub(crate) fn is_made_up(conf: &AppConf, root: &[u8]) -> bool {
    conf.varies && conf.root.is_none() && is_missing(root)
}

/// Whether there is no such directory. Clients choose the name where `root` contains a variable such as `$host`, and
/// each name would be a separate application for the daemon. A directory that nginx's worker may not access may exist.
fn is_missing(root: &[u8]) -> bool {
    match Path::new(OsStr::from_bytes(root)).metadata() {
        Ok(metadata) => !metadata.is_dir(),
        Err(err) => detection::is_not_found(&err) || err.raw_os_error() == Some(libc::ELOOP),
    }
}

/// Returns the public directory of the app that serves `uri` under `base`.
///
/// nginx maps the URI to `path`, of which the first `root_len` bytes are its root. The path ends with the part of the
/// URI after the base URI, whether `root` or `alias` was used; the rest of the path is the directory.
pub fn public_dir<'a>(path: &'a [u8], root_len: usize, uri: &[u8], base: Option<&str>) -> &'a [u8] {
    let within = uri.get(base.map_or(0, str::len)..).unwrap_or_default();
    let dir = path.strip_suffix(within).or_else(|| path.get(..root_len)).unwrap_or(path);
    without_final_slash(dir)
}

pub(crate) fn without_final_slash(mut dir: &[u8]) -> &[u8] {
    while let [front @ .., b'/'] = dir
        && !front.is_empty()
    {
        dir = front;
    }
    dir
}

fn parent(dir: &[u8]) -> &[u8] {
    let path = Path::new(OsStr::from_bytes(dir));
    path.parent().map_or(dir, |parent| parent.as_os_str().as_bytes())
}

/// Resolves a symbolic link to a directory, such as `/srv/www/blog -> /srv/blog/public`.
fn resolved(dir: &[u8]) -> Vec<u8> {
    match Path::new(OsStr::from_bytes(dir)).canonicalize() {
        Ok(path) => path.into_os_string().into_vec(),
        Err(_) => dir.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn conf() -> AppConf {
        AppConf { env: "production".into(), ..AppConf::default() }
    }

    /// Creates a directory for the test.
    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("module-core-location-{name}-{}", std::process::id()));
        let _none_from_before = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn the_public_dir_is_the_path_without_the_uri() {
        assert_eq!(public_dir(b"/srv/app/public/posts/1", 15, b"/posts/1", None), b"/srv/app/public");
        assert_eq!(public_dir(b"/srv/app/public/", 15, b"/", None), b"/srv/app/public");
    }

    #[test]
    fn under_a_base_uri_the_public_dir_is_below_the_root() {
        let path = b"/srv/www/blog/posts/1";
        assert_eq!(public_dir(path, 8, b"/blog/posts/1", Some("/blog")), b"/srv/www/blog");
        assert_eq!(public_dir(b"/srv/www/blog", 8, b"/blog", Some("/blog")), b"/srv/www/blog");
    }

    #[test]
    fn an_alias_is_the_public_dir() {
        // location ~ ^/blog(/.*|$) { alias /srv/blog/public$1; passenger_base_uri /blog; }
        let path = b"/srv/blog/public/posts/1";
        assert_eq!(public_dir(path, path.len(), b"/blog/posts/1", Some("/blog")), b"/srv/blog/public");
        // location /x/ { alias /srv/y/; }
        assert_eq!(public_dir(b"/srv/y/posts/1", 7, b"/x/posts/1", None), b"/srv/y");
    }

    #[test]
    fn the_app_root_is_the_parent_and_names_the_group() {
        let location = AppLocation::resolve(&conf(), b"/srv/app/public", false, 0);
        assert_eq!(location.root, b"/srv/app");
        assert_eq!(location.group, b"/srv/app (production)");
    }

    #[test]
    fn the_root_directory_is_its_own_parent() {
        assert_eq!(AppLocation::resolve(&conf(), b"/", false, 0).root, b"/");
    }

    #[test]
    fn a_configured_root_and_group_are_used_unchanged() {
        let conf =
            AppConf { root: Some("/opt/x".into()), group: Some("blue".into()), env: "test".into(), ..conf() };
        let location = AppLocation::resolve(&conf, b"/srv/app/public", false, 0);
        assert_eq!(
            (location.root.as_slice(), location.group.as_slice()),
            (b"/opt/x".as_slice(), b"blue".as_slice())
        );
    }

    #[test]
    fn a_start_command_takes_precedence_over_the_type() {
        let conf = AppConf {
            kind: Some(AppType::Known(AppKind::Ruby)),
            start_command: Some("./serve".into()),
            ..conf()
        };
        let lookup = AppLocation::resolve(&conf, b"/nowhere/public", false, 0).lookup;
        assert_eq!(lookup, Ok(Some(Detected::of_command("./serve"))));
    }

    #[test]
    fn an_unknown_type_leaves_the_location_to_nginx() {
        let conf = AppConf { kind: Some(AppType::Unknown), ..conf() };
        assert_eq!(AppLocation::resolve(&conf, b"/nowhere/public", false, 0).lookup, Ok(None));
    }

    #[test]
    fn a_configured_startup_file_determines_the_type_by_its_ending() {
        let dir = scratch("startup-file");
        fs::write(dir.join("config.ru"), "").unwrap();
        fs::write(dir.join("app.py"), "app = 1").unwrap();
        let root = dir.clone().into_os_string().into_vec();
        let found = |file: &str, kind| {
            let conf = AppConf { startup_file: Some(file.into()), kind, ..conf() };
            find_app(&conf, &root).unwrap().unwrap()
        };
        assert_eq!(found("web/main.py", None), Detected::configured(AppKind::Python));
        assert_eq!(found("bin/www", None), Detected::configured(AppKind::Ruby), "as it is detected");
        assert_eq!(found("x.js", Some(AppType::Known(AppKind::Ruby))), Detected::configured(AppKind::Ruby));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_startup_file_of_a_configured_type_is_found() {
        let dir = scratch("typed");
        fs::write(dir.join("config.ru"), "").unwrap();
        fs::write(dir.join("app.py"), "app = 1").unwrap();
        let conf = AppConf { kind: Some(AppType::Known(AppKind::Python)), ..conf() };
        let found = find_app(&conf, dir.as_os_str().as_bytes()).unwrap().unwrap();
        assert_eq!((found.kind, found.entry().value), (AppKind::Python, "app.py"));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_location_without_an_application_says_why() {
        let dir = scratch("nothing");
        fs::write(dir.join("app.py"), "x = 1").unwrap();
        let public = dir.join("public").into_os_string().into_vec();
        let nothing = |conf: &AppConf| AppLocation::resolve(conf, &public, false, 0).nothing_found;
        let text = nothing(&conf()).unwrap().to_string();
        assert!(text.contains("app.py defines neither"), "{text}");
        assert_eq!(nothing(&AppConf { kind: Some(AppType::Unknown), ..conf() }), None);
        fs::remove_dir_all(&dir).unwrap();
        assert!(nothing(&conf()).unwrap().to_string().contains("does not exist"));
        assert_eq!(nothing(&AppConf { varies: true, ..conf() }), None, "the client's choice");
    }

    #[test]
    fn a_link_under_a_base_uri_leads_to_the_app() {
        let dir = scratch("link");
        fs::create_dir_all(dir.join("app/public")).unwrap();
        fs::write(dir.join("app/config.ru"), "").unwrap();
        std::os::unix::fs::symlink(dir.join("app/public"), dir.join("blog")).unwrap();
        let public = dir.join("blog").into_os_string().into_vec();
        let location = AppLocation::resolve(&conf(), &public, true, 0);
        assert!(location.root.ends_with(b"/app"));
        assert_eq!(location.lookup, Ok(Some(Detected::configured(AppKind::Ruby))));
        fs::remove_dir_all(dir).unwrap();
    }
}
