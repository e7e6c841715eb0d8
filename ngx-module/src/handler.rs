//! The content handler of enabled locations: which requests go to the application.

use std::rc::Rc;

use module_core::app_location::public_dir;
use module_core::base_uri;
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
        forward(request, location, application, &mapped, base)
    }
}

fn forward(
    request: Request<'_>,
    location: &LocationConf,
    application: &Application,
    mapped: &MappedFile<'_>,
    base: Option<&str>,
) -> Decision<Forwarding> {
    let (path, root_len) = mapped.path();
    let public = match (&location.written.document_root, base) {
        (Some(dir), Some(_)) => dir.as_bytes(),
        _ => public_dir(path, root_len, request.uri(), base),
    };
    let location = application.locations.borrow_mut().get(&application.app, public, base.is_some(), now());
    match &location.lookup {
        Ok(Some(_)) => {}
        Ok(None) => return Decision::Decline,
        Err(err) => {
            request.log().error(format_args!("{err}"));
            let error = OwnError::unusable(&err.to_string());
            return Decision::Page(error.status, error.html(application.friendly));
        }
    }
    let served = Rc::new(Served::new(location));
    if served::store(request, served.clone()).is_err() {
        return Decision::Status(INTERNAL_ERROR);
    }
    Decision::Forward(Forwarding::new(served, base.unwrap_or_default().to_owned()))
}
