//! Files in the public directory: whether nginx has a file for a request. This takes at most two `stat` calls, and none
//! for a busy URI.

use std::cell::RefCell;

use module_core::negative_cache::NegativeCache;

use crate::ffi::request::files::{Inaccessible, MappedFile};
use crate::ffi::request::{Request, now};

thread_local! {
    static MISSING: RefCell<NegativeCache> = RefCell::default();
}

/// The file in the public directory for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicFile {
    /// A file at the URI, which nginx serves for every method.
    File,
    /// A page cached by the app, at this URI.
    CachedPage(Vec<u8>),
    /// None: the request is for the app.
    None,
}

/// Searches for a file, and for GET and HEAD also for a cached page: `index.html` for `/`, `about.html` for `/about`.
///
/// # Errors
///
/// [`Inaccessible`] when nginx cannot check.
pub(crate) fn find(
    request: Request<'_>,
    mapped: &mut MappedFile<'_>,
    base: Option<&str>,
) -> Result<PublicFile, Inaccessible> {
    let (path, second) = (mapped.path().0, now());
    let wants_page = request.is_get_or_head();
    let Some(key) = MISSING.with_borrow_mut(|absent| absent.check(path, wants_page, second)) else {
        return Ok(PublicFile::None);
    };
    let found = find_on_disk(request, mapped, base)?;
    if found == PublicFile::None {
        MISSING.with_borrow_mut(|absent| absent.insert(key, second));
    }
    Ok(found)
}

fn find_on_disk(
    request: Request<'_>,
    mapped: &mut MappedFile<'_>,
    base: Option<&str>,
) -> Result<PublicFile, Inaccessible> {
    let uri = request.uri();
    // A name that ends with a slash is that of a directory.
    if !uri.ends_with(b"/") && mapped.is_file("")? {
        return Ok(PublicFile::File);
    }
    let suffix = page_suffix(uri, base);
    if request.is_get_or_head() && mapped.is_file(suffix)? {
        return Ok(PublicFile::CachedPage([uri, suffix.as_bytes()].concat()));
    }
    Ok(PublicFile::None)
}

fn page_suffix(uri: &[u8], base: Option<&str>) -> &'static str {
    if uri.ends_with(b"/") {
        "index.html"
    } else if base.is_some_and(|base| base.as_bytes() == uri) {
        "/index.html"
    } else {
        ".html"
    }
}
