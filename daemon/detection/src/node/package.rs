//! The parts of `package.json` that say how an application is started.

use serde_json::Value;

use crate::directory::Directory;
use crate::rejected::Rejected;

const NAME: &str = "package.json";

/// Longest `package.json` that is read, in bytes.
const MAX: u64 = 256 * 1024;

/// The parts of `package.json` that matter here.
#[derive(Debug, Default)]
pub(super) struct Package {
    pub(super) main: Option<String>,
    /// `scripts.start`.
    pub(super) start: Option<String>,
    pub(super) depends_on_next: bool,
}

impl Package {
    /// Reads the file; `None` if there is none, or if it is invalid.
    pub(super) fn read(directory: Directory<'_>, rejected: &mut Rejected) -> Option<Self> {
        let text = match directory.read(NAME, MAX) {
            Ok(text) if text.is_cut => {
                rejected.add(&format!("{NAME} is longer than 256 KiB"));
                return None;
            }
            Ok(text) => text.bytes,
            Err(err) => {
                rejected.unreadable(NAME, &err);
                return None;
            }
        };
        match serde_json::from_slice::<Value>(&text) {
            Ok(json) => Some(Self::of(&json)),
            Err(err) => {
                rejected.add(&format!("{NAME} is invalid ({err})"));
                None
            }
        }
    }

    /// Whether the start script names this file, or `.` and the file is the main one.
    pub(super) fn runs(&self, file: &str, main: Option<&str>) -> bool {
        let words = self.start.iter().flat_map(|start| start.split_whitespace());
        words.map(|word| word.strip_prefix("./").unwrap_or(word)).any(|word| {
            let is_named = word == file || file.strip_suffix(".js") == Some(word);
            is_named || (matches!(word, "." | "") && main.unwrap_or("index.js") == file)
        })
    }

    fn of(json: &Value) -> Self {
        let text =
            |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let depends = |on: &str| json[on].get("next").is_some();
        Self {
            main: text(&json["main"]),
            start: text(&json["scripts"]["start"]),
            depends_on_next: depends("dependencies") || depends("devDependencies"),
        }
    }
}
