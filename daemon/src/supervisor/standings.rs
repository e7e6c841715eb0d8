//! What administrators have said of apps, kept from one router to the next. What it means is the router's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::link::{Notice, Standing};

/// More apps than anybody works on at a time. Each may have a page.
const MOST: usize = 1024;

/// By app group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Standings(BTreeMap<String, Standing>);

impl Standings {
    /// Keeps it, or forgets an app that is open again.
    pub(super) fn keep(&mut self, app: String, standing: Standing) {
        if standing == Standing::Open {
            self.0.remove(&app);
        } else if self.0.len() < MOST || self.0.contains_key(&app) {
            self.0.insert(app, standing);
        } else {
            tracing::error!(
                "app {app}: the next router will not know that it does not stand open: {MOST} do not"
            );
        }
    }

    /// For the next router.
    pub(super) fn notices(&self) -> impl Iterator<Item = Notice> {
        self.0.iter().map(|(app, standing)| Notice::Stand { app: app.clone(), standing: standing.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_app_takes_no_place() {
        let mut standings = Standings::default();
        standings.keep("/a".into(), Standing::Paused);
        standings.keep("/a".into(), Standing::Open);
        assert_eq!(standings.notices().count(), 0);
    }

    #[test]
    fn a_router_cannot_fill_the_supervisor() {
        let mut standings = Standings::default();
        (0..MOST + 5).for_each(|n| standings.keep(n.to_string(), Standing::Paused));
        assert_eq!(standings.notices().count(), MOST);
    }
}
