//! What administrators have said of apps, kept from one router to the next. What it means is the router's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use common::link::{Notice, Standing};

/// More apps than anybody works on at a time. Each may have a page.
const MOST: usize = 1024;
/// Bytes of all names and pages together.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// By app group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Standings(BTreeMap<String, Standing>);

impl Standings {
    /// Keeps it, or forgets an app that is open again.
    ///
    /// # Errors
    ///
    /// A sentence when there is no room for it.
    pub(super) fn keep(&mut self, app: String, standing: Standing) -> Result<(), String> {
        if standing == Standing::Open {
            self.0.remove(&app);
            return Ok(());
        }
        let others = self.0.iter().filter(|(name, _)| **name != app);
        let (count, bytes) =
            others.fold((0, 0), |(count, bytes), (name, kept)| (count + 1, bytes + size(name, kept)));
        if count < MOST && bytes + size(&app, &standing) <= MOST_BYTES {
            self.0.insert(app, standing);
            Ok(())
        } else {
            self.0.remove(&app);
            Err(format!("at most {MOST} apps and {MOST_BYTES} bytes are kept"))
        }
    }

    /// For the next router.
    pub(super) fn notices(&self) -> impl Iterator<Item = Notice> {
        self.0.iter().map(|(app, standing)| Notice::Stand { app: app.clone(), standing: standing.clone() })
    }
}

fn size(app: &str, standing: &Standing) -> usize {
    let page = match standing {
        Standing::Maintenance(maintenance) => maintenance.page.len(),
        Standing::Open | Standing::Paused => 0,
    };
    app.len() + page
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::link::Maintenance;

    #[test]
    fn the_bytes_of_all_pages_are_bounded() {
        let mut standings = Standings::default();
        let page = "x".repeat(150_000);
        for n in 0..MOST {
            let maintenance = Maintenance { page: page.clone(), ..Maintenance::default() };
            let kept = standings.keep(n.to_string(), Standing::Maintenance(maintenance));
            assert_eq!(kept.is_ok(), standings.0.contains_key(&n.to_string()));
        }
        let held: usize = standings.0.iter().map(|(app, standing)| size(app, standing)).sum();
        assert!(held > MOST_BYTES / 2 && held <= MOST_BYTES, "{held}");
    }

    #[test]
    fn an_open_app_takes_no_place() {
        let mut standings = Standings::default();
        standings.keep("/a".into(), Standing::Paused).unwrap();
        standings.keep("/a".into(), Standing::Open).unwrap();
        assert_eq!(standings.notices().count(), 0);
    }

    #[test]
    fn a_router_cannot_fill_the_supervisor() {
        let mut standings = Standings::default();
        let kept = (0..MOST + 5).filter(|n| standings.keep(n.to_string(), Standing::Paused).is_ok());
        assert_eq!(kept.count(), MOST);
        assert_eq!(standings.notices().count(), MOST);
    }
}
