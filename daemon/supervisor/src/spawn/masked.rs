//! The environment of a process as a report may show it, with secrets hidden.
//!
//! Secrets are hidden here, so neither the router nor the reader of a report gets them. In doubt a value is a secret.

use std::collections::BTreeMap;

use super::environment::Environment;

/// Replacement for a secret.
const HIDDEN: &str = "[hidden]";
/// Parts of names whose values are secret or may contain a secret.
const SECRET_PARTS: [&str; 17] = [
    "AUTH", "BEARER", "CERT", "COOKIE", "CRED", "DSN", "JWT", "KEY", "LICENSE", "PASS", "PRIV", "PWD",
    "SALT", "SECRET", "SETTINGS", "TOKEN", "WEBHOOK",
];
/// Names that have such a part and are not secret.
const NO_SECRETS: [&str; 4] = ["PWD", "OLDPWD", "IN_PASSENGER", "PASSENGER_"];
/// Longest value that is shown, in characters.
const MAX_VALUE: usize = 500;
/// Most bytes of names and values that are shown: they are sent in one message, with the router's handover data.
const MAX_SHOWN: usize = 16 * 1024;
/// Parts of values that contain a secret, in lower case.
const SECRET_VALUES: [&str; 6] = ["password=", "passwd=", "pwd=", "secret=", "token=", "private key"];

/// Returns the variables as a report may show them. Those of an environment file are secrets.
pub(super) fn masked(environment: &Environment, file: &[(String, String)]) -> BTreeMap<String, String> {
    let mut left = MAX_SHOWN;
    let is_of_file = |name: &str| file.iter().any(|(known, _)| known == name);
    let shown = environment.iter().map(|(name, value)| {
        let (name, value) = (name.to_string_lossy().into_owned(), value.to_string_lossy());
        let hidden = is_of_file(&name) || is_secret(&name) || holds_secret(&value);
        let value = if hidden { HIDDEN.to_owned() } else { shortened(without_login(&value)) };
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

fn holds_secret(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    SECRET_VALUES.iter().any(|part| lower.contains(part))
}

fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    if NO_SECRETS.contains(&upper.as_str()) {
        return false;
    }
    let rest = NO_SECRETS
        .iter()
        .filter(|prefix| prefix.ends_with('_'))
        .fold(&*upper, |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest));
    SECRET_PARTS.iter().any(|part| rest.contains(part))
}

/// Hides the login in `scheme://user:password@host`, the usual form of a database's address.
fn without_login(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}"),
        None => value.to_owned(),
    }
}

fn shortened(value: String) -> String {
    match value.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, value: &str) -> String {
        masked(&Environment::from([(name.into(), value.into())]), &[]).remove(name).unwrap()
    }

    #[test]
    fn secrets_are_hidden() {
        for name in [
            "SECRET_KEY_BASE",
            "db_password",
            "SMTP_PASS",
            "MYSQL_PWD",
            "API_TOKEN",
            "AWS_ACCESS_KEY_ID",
            "METEOR_SETTINGS",
            "PASSENGER_PASSWORD",
            "BASIC_AUTH",
            "SENTRY_DSN",
        ] {
            assert_eq!(shown(name, "s3cret"), HIDDEN, "{name}");
        }
        for value in ["host=db password=s3cret", "-----BEGIN PRIVATE KEY-----", "redis://db?Token=s3cret"] {
            assert_eq!(shown("BACKEND", value), HIDDEN, "{value}");
        }
        assert_eq!(shown("DATABASE_URL", "pg://me:a@b@db:5432/x"), "pg://[hidden]@db:5432/x");
    }

    #[test]
    fn harmless_variables_are_shown() {
        for name in ["PATH", "PWD", "RAILS_ENV", "IN_PASSENGER", "PASSENGER_APP_ENV", "HOME", "LANG", "PORT"]
        {
            assert_eq!(shown(name, "seen"), "seen", "{name}");
        }
        assert_eq!(shown("SITE", "https://example.org/a"), "https://example.org/a");
    }

    #[test]
    fn variables_of_a_file_are_hidden_whatever_they_are_called() {
        let environment = Environment::from([("COLOUR".into(), "red".into()), ("LANG".into(), "C".into())]);
        let shown = masked(&environment, &[("COLOUR".into(), "red".into())]);
        assert_eq!((shown["COLOUR"].as_str(), shown["LANG"].as_str()), (HIDDEN, "C"));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(shown("LONG", &"ü".repeat(MAX_VALUE + 1)), "ü".repeat(MAX_VALUE) + "…");
        assert_eq!(shown("LONG", &"ü".repeat(MAX_VALUE)), "ü".repeat(MAX_VALUE));
    }

    #[test]
    fn the_size_of_a_report_is_limited() {
        let many = (0..999).map(|n| (format!("V{n:03}").into(), "ü".repeat(MAX_VALUE).into())).collect();
        let size: usize = masked(&many, &[]).iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= MAX_SHOWN && size > MAX_SHOWN - 2 * MAX_VALUE - 4, "{size}");
    }
}
