//! The search for a public file. It waits for the disk in a thread of its own.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use tokio::time::timeout;

use super::{OpenFile, PublicFile};
use crate::request::Head;
use crate::sites::Site;

/// Searches for the file of a request; for GET and HEAD also for a page that the application has cached: `index.html` for
/// `/`, `about.html` for `/about`.
///
/// # Errors
///
/// Why the file cannot be checked.
pub(crate) async fn find(site: &Arc<Site>, head: &Head) -> Result<Option<PublicFile>, String> {
    let within = head.path.get(site.base_uri.len()..).unwrap_or_default();
    if !is_served(within) {
        return Ok(None);
    }
    let second = now_second();
    let wants_page = head.is_get_or_head();
    let checked =
        site.missing.lock().unwrap_or_else(PoisonError::into_inner).check(within, wants_page, second);
    let Some(key) = checked else { return Ok(None) };
    let candidates = candidates(&site.public, within, wants_page);
    let found = timeout(crate::sites::DISK_TIMEOUT, search(site, candidates));
    let found = found.await.map_err(|_| "the disk does not answer".to_owned())??;
    if found.is_none() {
        site.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(key, second);
    }
    Ok(found)
}

fn now_second() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Whether a file of this name may be served: no part is hidden, or could be one of several names.
fn is_served(within: &[u8]) -> bool {
    let is_plain = |part: &[u8]| !part.starts_with(b".") || part == b".well-known";
    within.len() < 4096 && !within.contains(&0) && within.split(|byte| *byte == b'/').all(is_plain)
}

fn candidates(public: &Path, within: &[u8], wants_page: bool) -> Vec<PathBuf> {
    let path = |suffix: &[u8]| {
        let bytes = [public.as_os_str().as_bytes(), within, suffix].concat();
        PathBuf::from(OsStr::from_bytes(&bytes))
    };
    let is_directory = within.ends_with(b"/");
    let page: &[u8] = match within {
        [] => b"/index.html",
        _ if is_directory => b"index.html",
        _ => b".html",
    };
    let file = (!is_directory && !within.is_empty()).then(|| path(b""));
    let page = wants_page.then(|| path(page));
    file.into_iter().chain(page).collect()
}

async fn search(site: &Arc<Site>, candidates: Vec<PathBuf>) -> Result<Option<PublicFile>, String> {
    let _permit = site.disk.acquire().await.map_err(|err| err.to_string())?;
    let searched = tokio::task::spawn_blocking(move || {
        for path in candidates {
            match open(&path) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(err) => return Err(format!("{}: {err}", path.display())),
            }
        }
        Ok(None)
    });
    searched.await.map_err(|err| err.to_string())?
}

/// Opens a regular file; `None` if there is none. Devices and FIFOs are not opened, as this could block.
fn open(path: &Path) -> io::Result<Option<PublicFile>> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(err) if is_missing(&err) => return Ok(None),
        // Where the application's directory itself is closed, the search for the application says so.
        Err(err) if err.kind() == ErrorKind::PermissionDenied => return Ok(None),
        Err(err) => return Err(err),
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(err) if is_missing(&err) => return Ok(None),
        Err(err) if err.kind() == ErrorKind::PermissionDenied => return Ok(Some(PublicFile::Unreadable)),
        Err(err) => return Err(err),
    };
    describe(file, path)
}

fn describe(file: File, path: &Path) -> io::Result<Option<PublicFile>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let content_type = mime_guess::from_path(path).first_or_octet_stream().to_string();
    let modified = metadata.modified()?;
    // Dates of HTTP begin in 1970.
    let modified = modified.max(UNIX_EPOCH);
    Ok(Some(PublicFile::Open(OpenFile { file, len: metadata.len(), modified, content_type })))
}

fn is_missing(err: &io::Error) -> bool {
    let is_loop = err.raw_os_error() == Some(nix::libc::ELOOP);
    is_loop
        || matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_not_served() {
        for path in ["/a.txt", "/a/b.c", "/.well-known/acme-challenge/x", "/", "", "/a..b"] {
            assert!(is_served(path.as_bytes()), "{path}");
        }
        for path in
            ["/.env", "/.git/config", "/a/.htaccess", "/..", "/a/../b", "/.well-known/.x", "/...", "/a\0"]
        {
            assert!(!is_served(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn pages_have_the_names_that_nginx_looks_for() {
        let names = |within: &str, page: bool| {
            let all = candidates(Path::new("/p"), within.as_bytes(), page).into_iter();
            all.map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("/", true), ["/p/index.html"]);
        assert_eq!(names("", true), ["/p/index.html"]);
        assert_eq!(names("/about", true), ["/p/about", "/p/about.html"]);
        assert_eq!(names("/about/", true), ["/p/about/index.html"]);
        assert_eq!(names("/about", false), ["/p/about"]);
        assert_eq!(names("/", false), [""; 0]);
    }
}
