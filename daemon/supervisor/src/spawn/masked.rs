//! The environment of a process as a report may show it, with secrets hidden.
//!
//! Secrets are hidden here, so neither the router nor the reader of a report gets them.

use std::collections::BTreeMap;

use super::environment::Environment;
use common::secrets;

/// Most bytes of names and values that are shown: they are sent in one message, with the router's handover data.
const MAX_SHOWN: usize = 16 * 1024;

/// Returns the variables as a report may show them.
pub(super) fn masked(environment: &Environment) -> BTreeMap<String, String> {
    let mut left = MAX_SHOWN;
    let shown = environment.iter().map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        let value = secrets::shown(&name, &value.to_string_lossy());
        (name, value)
    });
    let fits = shown.take_while(|(name, value)| {
        let size = name.len() + value.len();
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    fits.collect()
}

#[cfg(test)]
mod tests {
    use common::secrets::MAX_VALUE;

    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let environment = [("SMTP_PASS".into(), "s3cret".into()), ("HOME".into(), "/srv".into())].into();
        let shown = masked(&environment);
        assert_eq!((shown["SMTP_PASS"].as_str(), shown["HOME"].as_str()), (secrets::HIDDEN, "/srv"));
    }

    #[test]
    fn the_size_of_a_report_is_limited() {
        let many = (0..999).map(|n| (format!("V{n:03}").into(), "ü".repeat(MAX_VALUE).into())).collect();
        let size: usize = masked(&many).iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= MAX_SHOWN && size > MAX_SHOWN - 2 * MAX_VALUE - 4, "{size}");
    }
}
