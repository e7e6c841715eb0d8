//! Python applications: a file that defines `application` or `app`, or a Django project.

mod definitions;
mod django;

use protocol::request::AppKind;

use crate::detected::Detected;
use crate::directory::Directory;
use crate::rejected::Rejected;

/// The files that may define the application, in this order.
pub(crate) const FILES: [&str; 4] = ["wsgi.py", "asgi.py", "app.py", "main.py"];

/// How much of a file is searched for a definition, in bytes.
const MAX_SEARCHED: u64 = 256 * 1024;

/// Returns the Python application of a directory.
pub(crate) fn find(directory: Directory<'_>, rejected: &mut Rejected) -> Option<Detected> {
    let by_name = FILES.into_iter().find_map(|file| of_file(directory, file, rejected));
    by_name.or_else(|| django::find(directory, rejected))
}

fn of_file(directory: Directory<'_>, file: &str, rejected: &mut Rejected) -> Option<Detected> {
    let text = match directory.read(file, MAX_SEARCHED) {
        Ok(text) => text.bytes,
        Err(err) => {
            rejected.unreadable(file, &err);
            return None;
        }
    };
    if definitions::first(&text).is_none() {
        rejected.add(&format!("{file} defines neither \"application\" nor \"app\""));
        return None;
    }
    Some(Detected::with_file(AppKind::Python, file, "it defines the application"))
}
