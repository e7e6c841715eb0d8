//! The rule which variables and settings hold secrets, and what is shown in place of a secret.
//!
//! A name is judged by its words, so that `FLYING_PASSENGER_GROUP` and `SSL_CERT_FILE` are no secrets and `DBPASS` is one.
//! In doubt a value is a secret.

/// Replacement for a secret.
pub const HIDDEN: &str = "[hidden]";
/// Longest value that is shown, in characters.
pub const MAX_VALUE: usize = 500;

/// Words that name a secret, alone or at the end of a longer word such as `DBPASS` or `APIKEYS`.
const SECRET_WORDS: [&str; 17] = [
    "AUTH",
    "AUTHORIZATION",
    "BEARER",
    "COOKIE",
    "CRED",
    "CREDENTIAL",
    "DSN",
    "JWT",
    "KEY",
    "PASS",
    "PASSPHRASE",
    "PRIV",
    "PRIVATE",
    "PWD",
    "SALT",
    "TOKEN",
    "WEBHOOK",
];
/// Parts of names that name a secret wherever they are.
const SECRET_PARTS: [&str; 3] = ["PASSWD", "PASSWORD", "SECRET"];
/// Names that end like a secret and are none.
const HARMLESS_NAMES: [&str; 2] = ["PWD", "OLDPWD"];
/// Words that end like a secret and are none.
const HARMLESS_WORDS: [&str; 2] = ["BYPASS", "COMPASS"];
/// Last words of names whose value is the place of a file. The place of a secret is not secret.
const FILE_WORDS: [&str; 4] = ["FILE", "DIR", "SOCK", "SOCKET"];
/// Last word of names whose value is a document, such as `METEOR_SETTINGS`, which usually contains passwords.
const DOCUMENT_WORD: &str = "SETTINGS";
/// Parts of values that contain a secret, in lower case.
const SECRET_VALUES: [&str; 8] =
    ["password=", "passwd=", "pwd=", "secret=", "token=", "api_key=", "apikey=", "private key"];
/// What stands between a name and its value in JSON, YAML and Ruby, in the order in which it is recognised.
const ASSIGNMENTS: [&str; 9] = ["\" : ", "\" :", "\":", "\" => ", "\"=>", " => ", "=>", " = ", ": "];

/// Returns the value of a variable as a person may see it: [`HIDDEN`] in place of a secret, without the login of an
/// address, and cut when it is long.
pub fn shown(name: &str, value: &str) -> String {
    if is_secret(name, value) { HIDDEN.to_owned() } else { shortened(without_login(value)) }
}

/// Whether the variable or setting `name` with this value holds a secret.
pub fn is_secret(name: &str, value: &str) -> bool {
    let is_file = value.starts_with('/') && last_word(name).is_some_and(|word| FILE_WORDS.contains(&&*word));
    (is_secret_name(name) && !is_file) || holds_secret(value)
}

/// Whether the value of a variable or setting with this name is secret.
pub fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    if HARMLESS_NAMES.contains(&&*upper) {
        return false;
    }
    SECRET_PARTS.iter().any(|part| upper.contains(part))
        || last_word(name).is_some_and(|word| word == DOCUMENT_WORD)
        || words(name).iter().any(|word| is_secret_word(word))
}

fn is_secret_word(word: &str) -> bool {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let singular = word.strip_suffix('S').unwrap_or(word);
    !HARMLESS_WORDS.contains(&word)
        && SECRET_WORDS.iter().any(|secret| word.ends_with(secret) || singular.ends_with(secret))
}

fn last_word(name: &str) -> Option<String> {
    words(name).pop()
}

/// Returns the words of `A_NAME`, `a-name`, `a.name` or `aName`, in capitals.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for character in name.chars() {
        let begins = after_small && character.is_ascii_uppercase();
        if !character.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if let (true, Some(word)) = (character.is_alphanumeric(), words.last_mut()) {
            word.push(character.to_ascii_uppercase());
        }
        after_small = character.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn holds_secret(value: &str) -> bool {
    // `"password": "x"`, `password: x` and `'password' => 'x'` are like `password=x`.
    let mut text = value.to_ascii_lowercase().replace(['\\', '\''], "\"").replace("\"\"", "\"");
    for assignment in ASSIGNMENTS {
        text = text.replace(assignment, "=");
    }
    SECRET_VALUES.iter().any(|part| text.contains(part)) || value.split_whitespace().any(is_secret_flag)
}

/// Whether a word is a flag such as `--api-token`, whose value may be the next word.
fn is_secret_flag(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or(word);
    let is_secret =
        |word: &String| is_secret_word(word) || SECRET_PARTS.iter().any(|part| word.contains(part));
    name.starts_with("--") && words(name).iter().any(is_secret)
}

/// Hides the login in `scheme://user:password@host`, the usual form of a database's address.
fn without_login(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}"),
        None => value.to_owned(),
    }
}

/// Hides every login in a text, such as a backtrace: what stands between `://` and `@` in an address.
pub fn without_logins(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        // An address ends here; `@` in a path is no login.
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"')".contains(c)).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(login) => {
                out.push_str(HIDDEN);
                &after[login..]
            }
            None => after,
        };
    }
    out + rest
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

    #[test]
    fn secrets_are_hidden() {
        for name in [
            "SECRET_KEY_BASE",
            "SECRETKEYBASE",
            "db_password",
            "dbPassword",
            "SMTP_PASS",
            "DBPASS",
            "MYSQL_PWD",
            "PGPASSWORD",
            "API_TOKEN",
            "API_TOKENS",
            "APIKEY",
            "AWS_ACCESS_KEY_ID",
            "RAILS_MASTER_KEY",
            "METEOR_SETTINGS",
            "PASSENGER_PASSWORD",
            "BASIC_AUTH",
            "HTTP_AUTHORIZATION",
            "SENTRY_DSN",
            "AUTH_SALT2",
            "SLACK_WEBHOOK_URL",
            "apiKey",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ] {
            assert_eq!(shown(name, "s3cret"), HIDDEN, "{name}");
        }
        for value in ["host=db password=s3cret", "-----BEGIN PRIVATE KEY-----", "redis://db?Token=s3cret"] {
            assert_eq!(shown("BACKEND", value), HIDDEN, "{value}");
        }
        assert_eq!(shown("DATABASE_URL", "pg://me:a@b@db:5432/x"), "pg://[hidden]@db:5432/x");
        assert_eq!(shown("PASSWORD_FILE", "s3cret"), HIDDEN, "not a path");
        for value in [
            r#"{"password": "s3cret"}"#,
            r#"{\"db\":{\"token\":\"s3cret\"}}"#,
            "password: s3cret",
            "{'secret' => 's3cret'}",
            "python3 server.py --api-token s3cret",
            "serve --db-password=s3cret",
        ] {
            assert_eq!(shown("CONFIG", value), HIDDEN, "{value}");
        }
        for value in
            ["serve --port 80", "serve -W ignore::X", "/opt/token:/bin", "tokens: 5 of 7", "{\"port\": 80}"]
        {
            assert_eq!(shown("CONFIG", value), value);
        }
    }

    #[test]
    fn logins_in_texts_are_hidden() {
        for (text, expected) in [
            (
                "cannot connect to pg://u:s3cret@h/d, nor pg://x@y",
                "cannot connect to pg://[hidden]@h/d, nor pg://[hidden]@y",
            ),
            ("file:///srv/node_modules/@scope/x", "file:///srv/node_modules/@scope/x"),
            ("at a@b (http://h/p@q)", "at a@b (http://h/p@q)"),
            ("no address", "no address"),
            ("://", "://"),
        ] {
            assert_eq!(without_logins(text), expected);
        }
    }

    #[test]
    fn only_secrets_are_hidden() {
        for name in [
            "PATH",
            "PWD",
            "OLDPWD",
            "RAILS_ENV",
            "IN_PASSENGER",
            "PASSENGER_APP_ENV",
            "FLYING_PASSENGER_GROUP",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "PIP_CERT",
            "HTTPLIB2_CA_CERTS",
            "GIT_AUTHOR_NAME",
            "KEYBOARD",
            "CARGO_PKG_LICENSE_FILE",
            "CARGO_PKG_LICENSE",
            "TOKENIZERS_PARALLELISM",
            "COMPASS",
            "DJANGO_SETTINGS_MODULE",
            "HOME",
            "LANG",
            "PORT",
            "",
            "_",
        ] {
            assert_eq!(shown(name, "seen"), "seen", "{name}");
        }
        assert_eq!(shown("SITE", "https://example.org/a"), "https://example.org/a");
        assert_eq!(shown("DB_PASSWORD_FILE", "/run/secrets/db"), "/run/secrets/db");
        assert_eq!(shown("SSH_AUTH_SOCK", "/tmp/ssh"), "/tmp/ssh");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(shown("LONG", &"ü".repeat(MAX_VALUE + 1)), "ü".repeat(MAX_VALUE) + "…");
        assert_eq!(shown("LONG", &"ü".repeat(MAX_VALUE)), "ü".repeat(MAX_VALUE));
    }
}
