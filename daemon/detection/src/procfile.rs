//! `Procfile`: the command of its process type `web`.

use protocol::request::AppKind;

use crate::detected::Detected;
use crate::directory::Directory;
use crate::node::{self, Start, start_of};
use crate::rejected::Rejected;

const NAME: &str = "Procfile";
const REASON: &str = "\"web\" of Procfile";

/// Longest `Procfile` that is read, in bytes.
const MAX: u64 = 64 * 1024;

/// Commands that run `scripts.start` of `package.json`, which is read instead.
const START_SCRIPT: [&str; 6] =
    ["npm start", "npm run start", "yarn start", "yarn run start", "pnpm start", "pnpm run start"];

/// Returns the application of a `Procfile`.
pub(crate) fn find(directory: Directory<'_>, rejected: &mut Rejected) -> Option<Detected> {
    let text = match directory.read(NAME, MAX) {
        Ok(text) => String::from_utf8_lossy(&text.bytes).into_owned(),
        Err(err) => {
            rejected.unreadable(NAME, &err);
            return None;
        }
    };
    let Some(command) = web(&text) else {
        rejected.add(&format!("{NAME} has no line \"web: COMMAND\""));
        return None;
    };
    if START_SCRIPT.contains(&command)
        && let Some(found) = node::find(directory, rejected)
    {
        return Some(found);
    }
    if let Start::File(file) = start_of(command)
        && let Some(file) = node::existing(directory, file)
    {
        return Some(Detected::with_file(AppKind::Node, &file, REASON));
    }
    Some(Detected::with_command(command, REASON))
}

/// Returns the command of the last line for `web`, as foreman does.
fn web(text: &str) -> Option<&str> {
    let mut commands = text.lines().filter_map(|line| {
        let (name, command) = line.split_once(':')?;
        (name.trim() == "web").then(|| command.trim())
    });
    commands.rfind(|command| !command.is_empty() && command.len() <= 4096 && !command.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_for_web_is_found() {
        for (text, command) in [
            ("web: bundle exec puma\nworker: x\n", Some("bundle exec puma")),
            ("release: y\r\nweb:./serve $PORT\r\n", Some("./serve $PORT")),
            ("web: uvicorn shop:app --host 127.0.0.1", Some("uvicorn shop:app --host 127.0.0.1")),
            ("worker: web: x", None),
            ("# web: x", None),
            ("web:", None),
            ("website: x", None),
            ("", None),
        ] {
            assert_eq!(web(text), command, "{text}");
        }
    }
}
