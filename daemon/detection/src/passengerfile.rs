//! `Passengerfile.json`: its start command.

use std::path::Path;

use crate::directory::{Directory, is_not_found};
use crate::error::{DetectError, explain};

const NAME: &str = "Passengerfile.json";

/// Longest `Passengerfile.json` accepted, in bytes.
const MAX: u64 = 512 * 1024;

/// Returns `app_start_command`; `None` where there is no such file, or no command in it.
pub(crate) fn command(root: &Path) -> Result<Option<String>, DetectError> {
    let path = root.join(NAME);
    let text = match Directory(root).read(NAME, MAX) {
        Ok(text) if text.is_cut => {
            return Err(DetectError::Unreadable(path, "longer than 512 KiB".to_owned()));
        }
        Ok(text) => text.bytes,
        Err(err) if is_not_found(&err) => return Ok(None),
        Err(err) => return Err(explain(root, path, &err)),
    };
    let bad = |why: String| DetectError::BadPassengerfile(path.clone(), why);
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(|err| bad(err.to_string()))?;
    let object = json.as_object().ok_or_else(|| bad("must be a JSON object".into()))?;
    match object.get("app_start_command") {
        None => Ok(None),
        Some(serde_json::Value::String(command)) => Ok(Some(command.clone())),
        Some(_) => Err(bad("\"app_start_command\" must be a string".into())),
    }
}
