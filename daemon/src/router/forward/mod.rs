//! The way of a request to its app: variables or headers out of nginx's frames, then the body as it comes.

mod ahead;
pub(crate) mod body;
#[cfg(test)]
mod body_tests;
pub(crate) mod cgi;
pub(crate) mod pace;
