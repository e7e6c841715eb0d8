//! The application that a request is for.

use std::rc::Rc;

use module_core::place::Place;

/// The app and the base URI of the request.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) place: Rc<Place>,
    pub(crate) base_uri: String,
}
