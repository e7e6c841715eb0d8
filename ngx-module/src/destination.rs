//! The application that a request is for.

use std::rc::Rc;

use module_core::app_location::AppLocation;

/// The app and the base URI of the request.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) location: Rc<AppLocation>,
    pub(crate) base_uri: String,
}
