//! A cache of the locations of applications: results are kept for some seconds, so that most requests need no disk
//! access.

use std::collections::HashMap;
use std::rc::Rc;

use crate::app_location::{AppConf, AppLocation};

/// The cached locations of a location's requests. As `root` may contain variables, there may be many.
#[derive(Debug, Default)]
pub struct AppLocations {
    by_public_dir: HashMap<Vec<u8>, Rc<AppLocation>>,
    /// The one of the latest request, which is compared first: without variables it is that of all requests.
    latest: Option<Rc<AppLocation>>,
}

/// Seconds after which a location is determined again, as an app may have been deployed meanwhile.
const CACHE_SECONDS: i64 = 10;

/// More than a worker's busy sites; beyond it the cache is cleared, which costs each a few `stat`s.
const MAX_CACHED: usize = 1024;

impl AppLocations {
    /// Returns the location that belongs to a public directory. `now` is in seconds.
    pub fn get(&mut self, conf: &AppConf, public_dir: &[u8], under_base: bool, now: i64) -> Rc<AppLocation> {
        let is_current = |location: &AppLocation| {
            location.under_base == under_base
                && (location.at..location.at.saturating_add(CACHE_SECONDS)).contains(&now)
        };
        if let Some(latest) = &self.latest
            && latest.public_dir == public_dir
            && is_current(latest)
        {
            return Rc::clone(latest);
        }
        let location = match self.by_public_dir.get(public_dir) {
            Some(location) if is_current(location) => Rc::clone(location),
            _ => self.determine(conf, public_dir, under_base, now),
        };
        self.latest = Some(Rc::clone(&location));
        location
    }

    fn determine(
        &mut self,
        conf: &AppConf,
        public_dir: &[u8],
        under_base: bool,
        now: i64,
    ) -> Rc<AppLocation> {
        if self.by_public_dir.len() >= MAX_CACHED {
            self.by_public_dir.clear();
        }
        let location = Rc::new(AppLocation::resolve(conf, public_dir, under_base, now));
        self.by_public_dir.insert(public_dir.to_vec(), Rc::clone(&location));
        location
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    use detection::Detected;
    use protocol::request::AppKind;

    use super::*;

    fn conf() -> AppConf {
        AppConf { env: "production".into(), ..AppConf::default() }
    }

    #[test]
    fn a_location_is_cached_for_ten_seconds() {
        let dir = std::env::temp_dir().join(format!("module-core-locations-{}", std::process::id()));
        let _none_from_before = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let public = dir.join("public").into_os_string().into_vec();
        let mut locations = AppLocations::default();
        assert_eq!(locations.get(&conf(), &public, false, 100).lookup, Ok(None));
        fs::write(dir.join("app.js"), "").unwrap();
        assert_eq!(locations.get(&conf(), &public, false, 109).lookup, Ok(None));
        let app = Ok(Some(Detected::configured(AppKind::Node)));
        assert_eq!(locations.get(&conf(), &public, false, 110).lookup, app);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_latest_location_is_not_that_of_another_directory() {
        let mut locations = AppLocations::default();
        let mut get = |dir: &[u8], under_base| locations.get(&conf(), dir, under_base, 100);
        for _ in 0..2 {
            for dir in [&b"/nowhere/a/public"[..], b"/nowhere/b/public"] {
                assert_eq!(get(dir, false).public_dir, dir);
                assert_eq!((get(dir, true).public_dir.as_slice(), get(dir, true).under_base), (dir, true));
            }
        }
    }

    #[test]
    fn a_clock_set_back_invalidates_the_cache() {
        let mut locations = AppLocations::default();
        let first = locations.get(&conf(), b"/nowhere/public", false, 100);
        assert_eq!(first.at, 100);
        assert_eq!(locations.get(&conf(), b"/nowhere/public", false, 50).at, 50);
    }
}
