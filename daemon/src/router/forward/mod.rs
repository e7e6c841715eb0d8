//! The way of a request to its app: variables or headers out of nginx's frames, then the body as it comes.

pub(crate) mod body;
pub(crate) mod cgi;
