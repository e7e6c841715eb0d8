//! App modes set by administrators, kept from one router to the next. Only the router interprets them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use common::link::{AppMode, Notice};

/// Maximum number of apps that are not open. Each may have a maintenance page.
const MAX_APPS: usize = 1024;
/// Maximum bytes of all names and pages.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// App modes by app group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct AppModes(BTreeMap<String, AppMode>);

impl AppModes {
    /// Stores the mode, or removes the entry of an app that is open again.
    ///
    /// # Errors
    ///
    /// An error message when there is no room for it.
    pub(super) fn keep(&mut self, app: String, mode: AppMode) -> Result<(), String> {
        if mode == AppMode::Open {
            self.0.remove(&app);
            return Ok(());
        }
        let others = self.0.iter().filter(|(name, _)| **name != app);
        let (count, bytes) =
            others.fold((0, 0), |(count, bytes), (name, kept)| (count + 1, bytes + size(name, kept)));
        if count < MAX_APPS && bytes + size(&app, &mode) <= MAX_BYTES {
            self.0.insert(app, mode);
            Ok(())
        } else {
            self.0.remove(&app);
            Err(format!("at most {MAX_APPS} apps and {MAX_BYTES} bytes are kept"))
        }
    }

    /// Returns the notices for the next router.
    pub(super) fn notices(&self) -> impl Iterator<Item = Notice> {
        self.0.iter().map(|(app, mode)| Notice::SetAppMode { app: app.clone(), mode: mode.clone() })
    }
}

fn size(app: &str, mode: &AppMode) -> usize {
    let page = match mode {
        AppMode::Maintenance(maintenance) => maintenance.page.len(),
        AppMode::Open | AppMode::Paused => 0,
    };
    app.len() + page
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::link::Maintenance;

    #[test]
    fn the_bytes_of_all_pages_are_bounded() {
        let mut app_modes = AppModes::default();
        let page = "x".repeat(150_000);
        for n in 0..MAX_APPS {
            let maintenance = Maintenance { page: page.clone(), ..Maintenance::default() };
            let kept = app_modes.keep(n.to_string(), AppMode::Maintenance(maintenance));
            assert_eq!(kept.is_ok(), app_modes.0.contains_key(&n.to_string()));
        }
        let held: usize = app_modes.0.iter().map(|(app, mode)| size(app, mode)).sum();
        assert!(held > MAX_BYTES / 2 && held <= MAX_BYTES, "{held}");
    }

    #[test]
    fn an_open_app_is_not_stored() {
        let mut app_modes = AppModes::default();
        app_modes.keep("/a".into(), AppMode::Paused).unwrap();
        app_modes.keep("/a".into(), AppMode::Open).unwrap();
        assert_eq!(app_modes.notices().count(), 0);
    }

    #[test]
    fn a_router_cannot_exhaust_the_memory_of_the_supervisor() {
        let mut app_modes = AppModes::default();
        let kept = (0..MAX_APPS + 5).filter(|n| app_modes.keep(n.to_string(), AppMode::Paused).is_ok());
        assert_eq!(kept.count(), MAX_APPS);
        assert_eq!(app_modes.notices().count(), MAX_APPS);
    }
}
