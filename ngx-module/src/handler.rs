//! The content handler of enabled locations: which requests go to the application.

use std::rc::Rc;

use module_core::app_location::{AppLocation, public_dir};
use module_core::base_uri;
use module_core::nothing_found::NothingFound;
use module_core::own_error::OwnError;
use module_core::served::Served;

use crate::conf::{Application, LocationConf};
use crate::ffi::request::content::{ContentHandler, Decision};
use crate::ffi::request::files::MappedFile;
use crate::ffi::request::{Request, now, served};
use crate::panic_probe::probe_panic;
use crate::public_files::{self, PublicFile};
use crate::upstream::Forwarding;

/// The content handler of enabled locations.
#[derive(Debug)]
pub(crate) struct Passenger;

/// Endings of compressed files that nginx's modules serve in place of a file.
const COMPRESSED: [&str; 2] = [".gz", ".br"];

const NOT_FOUND: u16 = 404;
const INTERNAL_ERROR: u16 = 500;

impl ContentHandler for Passenger {
    type Location = LocationConf;
    type Exchange = Forwarding;

    fn decide(request: Request<'_>, location: &LocationConf) -> Decision<Forwarding> {
        let Some(application) = location.application() else {
            return Decision::Decline;
        };
        probe_panic(location, "content");
        #[cfg(feature = "panic-probe")]
        if location.written.panic_in.as_deref() == Some("overrun") {
            request.read_beyond_its_memory();
        }
        let Some(mut mapped) = MappedFile::new(request) else {
            return Decision::Status(INTERNAL_ERROR);
        };
        let base = base_uri::matching(&location.written.base_uris, request.uri());
        match public_files::find(request, &mut mapped, base) {
            Ok(PublicFile::File) => return Decision::Decline,
            Ok(PublicFile::CachedPage(uri)) => return Decision::Redirect(uri),
            Ok(PublicFile::None) => {}
            Err(_) => return Decision::Status(INTERNAL_ERROR),
        }
        forward(request, location, application, &mut mapped, base)
    }

    /// A directory without an index, in a location without an application.
    fn decide_last(request: Request<'_>, location: &LocationConf) -> Decision<Forwarding> {
        let Some(application) = location.application().filter(|_| request.uri().ends_with(b"/")) else {
            return Decision::Decline;
        };
        let Some(mapped) = MappedFile::new(request) else {
            return Decision::Status(INTERNAL_ERROR);
        };
        let base = base_uri::matching(&location.written.base_uris, request.uri());
        match &app_location(request, location, application, &mapped, base).nothing_found {
            Some(nothing) => not_found(request, location, nothing),
            None => Decision::Decline,
        }
    }
}

fn forward(
    request: Request<'_>,
    location: &LocationConf,
    application: &Application,
    mapped: &mut MappedFile<'_>,
    base: Option<&str>,
) -> Decision<Forwarding> {
    let conf = location;
    let location = app_location(request, conf, application, mapped, base);
    match (&location.lookup, &location.nothing_found) {
        (Ok(Some(_)), _) => {}
        (Ok(None), Some(nothing)) if !may_serve(request, mapped) => return not_found(request, conf, nothing),
        (Ok(None), _) => return Decision::Decline,
        (Err(err), _) => {
            request.log().error(format_args!("{err}"));
            let error = OwnError::unusable(&err.to_string());
            return Decision::Page(error.status, error.html(application.friendly));
        }
    }
    if served::store(request, Served::new(location)).is_err() {
        return Decision::Status(INTERNAL_ERROR);
    }
    Decision::Forward(Forwarding::default())
}

/// Returns the application of a request, and its root.
fn app_location(
    request: Request<'_>,
    location: &LocationConf,
    application: &Application,
    mapped: &MappedFile<'_>,
    base: Option<&str>,
) -> Rc<AppLocation> {
    let (path, root_len) = mapped.path();
    let public = match (&location.written.document_root, base) {
        (Some(dir), Some(_)) => dir.as_bytes(),
        _ => public_dir(path, root_len, request.uri(), base),
    };
    application.locations.borrow_mut().get(&application.app, public, base.is_some(), now())
}

/// Whether nginx itself may have a response: a file, a compressed one in its place, a directory, or a handler for
/// another method, such as that of WebDAV.
fn may_serve(request: Request<'_>, mapped: &mut MappedFile<'_>) -> bool {
    let is_usual = request.is_get_or_head() || request.method() == b"POST";
    !is_usual || !mapped.is_missing() || COMPRESSED.iter().any(|ending| mapped.is_file(ending) != Ok(false))
}

/// The response where there is neither an application nor a file.
fn not_found(request: Request<'_>, location: &LocationConf, nothing: &NothingFound) -> Decision<Forwarding> {
    request.log().error(format_args!("{nothing}"));
    Decision::Page(NOT_FOUND, nothing.html(location.written.has_friendly_error_pages()))
}
