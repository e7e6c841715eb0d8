//! The roster that nginx sends to the daemon at its start, built from the applications of all locations.
//!
//! The application of a location is known beforehand unless `root` contains variables, or an `alias` mounts it in an
//! unusual way; the roster is then marked as incomplete.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use detection::Detected;
use protocol::PayloadError;
use protocol::limits::MAX_ROSTER_ENTRIES;
use protocol::request::AppRef;
use protocol::roster::{Entry, Roster, Start};
use protocol::settings::Value;

use crate::app_location::{self, AppConf};
use crate::base_uri;
use crate::settings::{Block, Written};

/// Where a location's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files<'a> {
    /// In this directory, followed by the URI.
    Root(&'a [u8]),
    /// In this directory, which replaces the location's name.
    Alias(&'a [u8]),
    /// It depends on the request.
    PerRequest,
}

/// A location as configured.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    /// Its name; empty for the level of a server.
    pub name: &'a [u8],
    /// Its files.
    pub files: Files<'a>,
    /// `passenger_base_uri`.
    pub base_uris: &'a [String],
    /// `passenger_document_root`.
    pub document_root: Option<&'a str>,
}

/// Where an application is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// Empty at the root.
    base: String,
    /// The application's public directory, where it is known.
    public_dir: Option<Vec<u8>>,
    /// Its processes are started before the first request.
    keep: Cell<bool>,
}

/// The applications that a location's requests may be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredApps {
    app: AppConf,
    settings: Block,
    mounts: Vec<Mount>,
}

/// The nginx that sends the roster.
#[derive(Debug, Clone, Copy)]
pub struct RosterSource<'a> {
    /// nginx's configuration file.
    pub instance: &'a [u8],
    /// The process ID of its master.
    pub master: u32,
    /// nginx's name and release.
    pub server_software: &'a [u8],
}

impl ConfiguredApps {
    /// Returns the applications of a location. Where `passenger_min_instances` is configured, that many processes are
    /// started before the first request.
    pub fn new(app: AppConf, written: &Written, settings: Block, location: Location<'_>) -> Self {
        let keep = matches!(written.values().get("min_instances"), Some(Value::Number(1..)));
        Self { app, settings, mounts: mounts(location, keep) }
    }

    /// Has the application that serves a path started before its first request.
    ///
    /// # Errors
    ///
    /// Why it cannot be started, as far as that is known now, and what to do.
    pub fn pre_start(&self, path: &[u8]) -> Result<(), String> {
        let below =
            |mount: &&Mount| !mount.base.is_empty() && base_uri::is_below(mount.base.as_bytes(), path);
        let at_root = || self.mounts.iter().find(|mount| mount.base.is_empty());
        let mount = self.mounts.iter().find(below).or_else(at_root);
        let (mount, (root, _)) = mount.and_then(|mount| Some((mount, self.locate(mount)?))).ok_or(
            "the directory of its application depends on variables, so it is known with a request only; configure \
             passenger_app_root",
        )?;
        mount.keep.set(true);
        match app_location::find_app(&self.app, &root) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!(
                "no application is found in {}; deploy it, or configure passenger_app_type",
                root.escape_ascii()
            )),
            Err(err) => Err(err.to_string()),
        }
    }

    /// Returns directory and group of the application of a mount; `None` where they depend on the request.
    fn locate(&self, mount: &Mount) -> Option<(Vec<u8>, Vec<u8>)> {
        // Where the root is configured, the public directory is not needed.
        let public_dir = mount.public_dir.as_deref().or(self.app.root.as_ref().map(|_| &[][..]))?;
        Some(app_location::locate(&self.app, public_dir, !mount.base.is_empty()))
    }
}

/// Returns the frames of the roster of all of them.
///
/// # Errors
///
/// [`PayloadError`] when one of them does not fit a frame.
pub fn frames(all: &[Rc<ConfiguredApps>], source: RosterSource<'_>) -> Result<Vec<u8>, PayloadError> {
    let apps: Vec<_> = all.iter().flat_map(|apps| apps.known()).collect();
    let mut entries: Vec<_> = apps.iter().flatten().map(|app| app.entry(source)).collect();
    entries.sort_by(|one, other| order(one).cmp(&order(other)));
    entries.dedup();
    // An entry with only the name of a group is redundant when the group is started.
    let started: BTreeSet<_> =
        entries.iter().filter(|entry| entry.start.is_some()).map(|e| e.group).collect();
    entries.retain(|entry| entry.start.is_some() || !started.contains(entry.group));
    let is_complete = apps.iter().all(Option::is_some) && entries.len() <= MAX_ROSTER_ENTRIES;
    entries.truncate(MAX_ROSTER_ENTRIES);
    Roster { instance: source.instance, master: source.master, is_complete, entries }.to_frames()
}

/// The order of entries.
fn order<'e>(entry: &'e Entry<'_>) -> impl Ord + use<'e> {
    let start = entry.start.as_ref().map(|start| {
        (start.app.root, start.app.kind as u8, start.app.start_command, start.base_uri, start.settings)
    });
    (entry.group, start)
}

/// An application that is known before the first request.
#[derive(Debug)]
struct RosterApp<'a> {
    root: Vec<u8>,
    group: Vec<u8>,
    /// Present if it must run before its first request.
    start: Option<Detected>,
    base: &'a str,
    settings: &'a Block,
}

impl RosterApp<'_> {
    fn entry<'a>(&'a self, source: RosterSource<'a>) -> Entry<'a> {
        let start = self.start.as_ref().map(|app| Start {
            app: AppRef {
                group: &self.group,
                root: &self.root,
                kind: app.kind,
                start_command: app.start_command.as_bytes(),
            },
            base_uri: self.base.as_bytes(),
            server_software: source.server_software,
            settings: &self.settings.bytes,
        });
        Entry { group: &self.group, start }
    }
}

impl ConfiguredApps {
    /// Returns the application of each mount; `None` where it depends on the request.
    fn known(&self) -> impl Iterator<Item = Option<RosterApp<'_>>> {
        self.mounts.iter().map(|mount| {
            let (root, group, start) = match self.locate(mount) {
                Some((root, group)) => {
                    let app = mount.keep.get().then(|| app_location::find_app(&self.app, &root));
                    (root, group, app.and_then(Result::ok).flatten())
                }
                None => {
                    let group = self.app.group.as_ref().filter(|group| !group.is_empty())?;
                    (Vec::new(), group.clone().into_bytes(), None)
                }
            };
            Some(RosterApp { root, group, start, base: &mount.base, settings: &self.settings })
        })
    }
}

fn mounts(location: Location<'_>, keep: bool) -> Vec<Mount> {
    let mount = |base: &str, public_dir| Mount { base: base.to_owned(), public_dir, keep: Cell::new(keep) };
    let below_base = base_uri::matching(location.base_uris, location.name).is_some();
    let at_root = (!below_base).then(|| mount("", location.files.dir(None)));
    let below = location.base_uris.iter().map(|base| {
        let own = location.document_root.map(|dir| dir.as_bytes().to_vec());
        let public_dir = own.or_else(|| location.files.dir(Some((base, location.name))));
        mount(base, public_dir)
    });
    at_root.into_iter().chain(below).collect()
}

impl Files<'_> {
    /// Returns the public directory of the app mounted at a base URI, for the location of this name.
    fn dir(self, base: Option<(&str, &[u8])>) -> Option<Vec<u8>> {
        match (self, base) {
            (Self::PerRequest, _) => None,
            (Self::Root(dir) | Self::Alias(dir), None) => {
                Some(app_location::without_final_slash(dir).to_vec())
            }
            (Self::Root(dir), Some((base, _))) => {
                Some([app_location::without_final_slash(dir), base.as_bytes()].concat())
            }
            (Self::Alias(dir), Some((base, name))) => {
                let stands_for_base = app_location::without_final_slash(name) == base.as_bytes();
                stands_for_base.then(|| app_location::without_final_slash(dir).to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::frame::HEADER_LEN;
    use protocol::request::AppKind;

    use super::*;

    const SOURCE: RosterSource<'_> =
        RosterSource { instance: b"/etc/nginx/nginx.conf", master: 7, server_software: b"nginx/1.22.1" };

    fn at<'a>(name: &'a str, files: Files<'a>, base_uris: &'a [String]) -> Location<'a> {
        Location { name: name.as_bytes(), files, base_uris, document_root: None }
    }

    fn conf(root: Option<&str>, group: Option<&str>) -> AppConf {
        let kind = Some(crate::app_kind::AppType::Known(AppKind::Ruby));
        let [root, group] = [root, group].map(|text| text.map(str::to_owned));
        AppConf { root, group, env: "production".into(), kind, ..AppConf::default() }
    }

    fn configured_apps(app: AppConf, location: Location<'_>, min_instances: i64) -> Rc<ConfiguredApps> {
        let mut written = Written::default();
        if min_instances > 0 {
            written.state("min_instances", Value::Number(min_instances)).unwrap();
        }
        let block = written.encode().unwrap();
        Rc::new(ConfiguredApps::new(app, &written, block, location))
    }

    /// A group; with root and base URI if it must be started.
    type App = (String, Option<(String, String)>);

    /// Returns the groups, and whether they are complete.
    fn roster(all: &[Rc<ConfiguredApps>]) -> (Vec<App>, bool) {
        let frames = frames(all, SOURCE).unwrap();
        let roster = Roster::decode(&frames[HEADER_LEN..]).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let entries = roster.entries.iter().map(|entry| {
            let start = entry.start.as_ref();
            (text(entry.group), start.map(|start| (text(start.app.root), text(start.base_uri))))
        });
        (entries.collect(), roster.is_complete)
    }

    fn named(group: &str) -> App {
        (group.into(), None)
    }

    #[test]
    fn a_server_and_its_locations_are_one_app() {
        let files = Files::Root(b"/srv/blog/public");
        let server = configured_apps(conf(None, None), at("", files, &[]), 0);
        let assets = configured_apps(conf(None, None), at("/assets/", files, &[]), 0);
        assert_eq!(roster(&[server, assets]), (vec![named("/srv/blog (production)")], true));
    }

    #[test]
    fn an_app_that_depends_on_the_request_is_left_out() {
        let varying = configured_apps(conf(None, None), at("", Files::PerRequest, &[]), 1);
        assert_eq!(roster(&[varying]), (vec![], false));
        let by_group = configured_apps(conf(None, Some("blue")), at("", Files::PerRequest, &[]), 1);
        assert_eq!(roster(&[by_group]), (vec![named("blue")], true));
    }

    #[test]
    fn an_app_with_a_minimum_is_sent_with_its_start() {
        let app = configured_apps(conf(Some("/srv/shop"), None), at("", Files::PerRequest, &[]), 2);
        let start = ("/srv/shop".to_owned(), String::new());
        assert_eq!(roster(&[app]), (vec![("/srv/shop (production)".into(), Some(start))], true));
    }

    #[test]
    fn an_app_with_its_start_is_not_repeated_by_name() {
        let [kept, plain] = [2, 0]
            .map(|min| configured_apps(conf(Some("/srv/shop"), None), at("", Files::PerRequest, &[]), min));
        assert_eq!(roster(&[kept, plain]).0.len(), 1);
    }

    #[test]
    fn an_app_at_a_base_uri_is_a_separate_app() {
        let bases = ["/blog".to_owned()];
        let location = Location {
            document_root: Some("/srv/blog/public"),
            ..at("", Files::Root(b"/srv/www/public"), &bases)
        };
        let app = configured_apps(conf(None, None), location, 1);
        let start = |root: &str, base: &str| Some((root.to_owned(), base.to_owned()));
        let expected = vec![
            ("/srv/blog (production)".to_owned(), start("/srv/blog", "/blog")),
            ("/srv/www (production)".to_owned(), start("/srv/www", "")),
        ];
        assert_eq!(roster(&[app]), (expected, true));
    }

    #[test]
    fn a_location_below_a_base_uri_contains_that_app_only() {
        let bases = ["/blog".to_owned()];
        for (name, files) in
            [("/blog", Files::Root(&b"/srv/www"[..])), ("/blog/", Files::Alias(b"/srv/www/blog/"))]
        {
            let app = configured_apps(conf(None, None), at(name, files, &bases), 0);
            assert_eq!(roster(&[app]), (vec![named("/srv/www (production)")], true), "{name}");
        }
        let odd = configured_apps(conf(None, None), at("/", Files::Alias(b"/srv/x/"), &bases), 0);
        assert!(!roster(&[odd]).1);
    }

    #[test]
    fn a_pre_started_app_is_started_and_its_neighbours_are_not() {
        let bases = ["/blog".to_owned()];
        let location = Location {
            document_root: Some("/srv/blog/public"),
            ..at("", Files::Root(b"/srv/www/public"), &bases)
        };
        let start = |root: &str, base: &str| Some((root.to_owned(), base.to_owned()));
        for (path, blog, www) in
            [("/blog/new", start("/srv/blog", "/blog"), None), ("/blogger", None, start("/srv/www", ""))]
        {
            let app = configured_apps(conf(None, None), location, 0);
            assert_eq!(app.pre_start(path.as_bytes()), Ok(()));
            let expected =
                vec![("/srv/blog (production)".to_owned(), blog), ("/srv/www (production)".to_owned(), www)];
            assert_eq!(roster(&[app]), (expected, true), "{path}");
        }
    }

    #[test]
    fn an_app_that_only_requests_determine_cannot_be_pre_started() {
        let varying = configured_apps(conf(None, Some("blue")), at("", Files::PerRequest, &[]), 0);
        assert!(varying.pre_start(b"/").unwrap_err().contains("passenger_app_root"));
        let known = configured_apps(conf(Some("/srv/shop"), None), at("", Files::PerRequest, &[]), 0);
        assert_eq!(known.pre_start(b"/"), Ok(()));
    }
}
