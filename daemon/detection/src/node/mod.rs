//! Node.js applications: `package.json`, the builds of frameworks and the usual names of a server's file.

mod package;
mod script;

use protocol::request::AppKind;

use crate::detected::Detected;
use crate::directory::{Directory, path_inside};
use crate::rejected::Rejected;
use package::Package;
pub(crate) use script::{Start, start_of};

/// Where builds of Nuxt, and of other frameworks that use Nitro, have their server.
const NITRO: &str = ".output/server/index.mjs";
/// Exists after `next build`.
const NEXT: &str = ".next/BUILD_ID";
/// Next.js listens on all addresses by default.
const NEXT_START: &str = "next start -H 127.0.0.1 -p $PORT";

/// How much of a file is searched for a server, in bytes.
const MAX_SEARCHED: u64 = 256 * 1024;
/// Calls by which a server starts to listen.
const LISTENS: [&str; 2] = ["listen(", "serve("];
/// Endings that `node FILE` adds to a name, in this order.
const ENDINGS: [&str; 3] = ["", ".js", "/index.js"];

/// Usual names of a server's file, in this order.
pub(crate) const FILES: [&str; 2] = ["server.js", "index.js"];

const SCRIPT: &str = "\"scripts.start\" of package.json";

/// Returns the Node.js application of a directory.
pub(crate) fn find(directory: Directory<'_>, rejected: &mut Rejected) -> Option<Detected> {
    let package = Package::read(directory, rejected).unwrap_or_default();
    let start = package.start.as_deref().map_or(Start::None, start_of);
    if let Start::File(file) = start {
        match existing(directory, file) {
            Some(file) => return Some(Detected::with_file(AppKind::Node, &file, SCRIPT)),
            None => rejected.add(&format!("{SCRIPT} runs {file}, which does not exist here")),
        }
    }
    built(directory, &package)
        .or_else(|| by_name(directory, &package, &start, rejected))
        .or_else(|| by_script(&package, &start, rejected))
}

/// Returns the file of `scripts.start` where `app.js` does not listen and that file does, as express-generator makes them.
pub(crate) fn started_elsewhere(directory: Directory<'_>) -> Option<Detected> {
    let usual = AppKind::Node.definition().startup_file?;
    let mut ignored = Rejected::default();
    if !directory.has_file(usual) || listens(directory, usual, &mut ignored) {
        return None;
    }
    let package = Package::read(directory, &mut ignored)?;
    let Start::File(file) = start_of(package.start.as_deref()?) else { return None };
    let file = existing(directory, file).filter(|file| file != usual)?;
    listens(directory, &file, &mut ignored).then(|| Detected::with_file(AppKind::Node, &file, SCRIPT))
}

/// Returns the file that `node FILE` would run, if it is in the directory.
pub(crate) fn existing(directory: Directory<'_>, file: &str) -> Option<String> {
    let file = path_inside(file)?;
    ENDINGS.iter().map(|ending| format!("{file}{ending}")).find(|file| directory.has_file(file))
}

fn built(directory: Directory<'_>, package: &Package) -> Option<Detected> {
    if directory.has_file(NITRO) {
        return Some(Detected::with_file(AppKind::Node, NITRO, "a build of Nuxt or Nitro"));
    }
    let is_next = package.depends_on_next && directory.has_file(NEXT);
    is_next.then(|| Detected::with_command(NEXT_START, "a build of Next.js"))
}

/// Returns the first of the usual files, and of the one that the package names, that is a server.
fn by_name(
    directory: Directory<'_>,
    package: &Package,
    start: &Start<'_>,
    rejected: &mut Rejected,
) -> Option<Detected> {
    let main = package.main.as_deref().and_then(|main| existing(directory, main));
    let is_server = |file: &str, rejected: &mut Rejected| match start {
        // Another command than the file is how the package is started.
        Start::Command => package.runs(file, main.as_deref()),
        _ => file == "server.js" || listens(directory, file, rejected),
    };
    for file in FILES {
        if directory.has_file(file) && is_server(file, rejected) {
            return Some(Detected::with_file(AppKind::Node, file, "a server's usual file"));
        }
    }
    let file = main.as_deref().filter(|file| !FILES.contains(file))?;
    is_server(file, rejected).then(|| Detected::with_file(AppKind::Node, file, "\"main\" of package.json"))
}

/// Whether the file looks like a server: `index.js` may also be a library, or a page's script.
fn listens(directory: Directory<'_>, file: &str, rejected: &mut Rejected) -> bool {
    match directory.read(file, MAX_SEARCHED) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text.bytes);
            if LISTENS.iter().any(|call| text.contains(call)) {
                return true;
            }
            rejected.add(&format!("{file} calls neither listen() nor serve()"));
        }
        Err(err) => rejected.unreadable(file, &err),
    }
    false
}

fn by_script(package: &Package, start: &Start<'_>, rejected: &mut Rejected) -> Option<Detected> {
    match start {
        Start::Command => Some(Detected::with_command(package.start.as_deref()?, SCRIPT)),
        Start::Development(tool) => {
            rejected.add(&format!("{SCRIPT} runs {tool}, which is for development"));
            None
        }
        Start::File(_) | Start::None => None,
    }
}
