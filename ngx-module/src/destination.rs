//! Where a request leads.

use std::rc::Rc;

use module_core::place::Place;

/// The app, and below which of its URIs.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) place: Rc<Place>,
    pub(crate) base_uri: String,
}
