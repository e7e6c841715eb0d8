//! One request to the daemon and its response: connects nginx's upstream callbacks with the encoder and the decoder.

use std::ops::Range;

use module_core::own_error::OwnError;

use crate::conf::LocationConf;
use crate::decode::{self, ResponseError};
use crate::encode;
use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::{Request, served};
use crate::ffi::upstream::body::Body;
use crate::ffi::upstream::exchange::{Exchange, HeadRead, SENDS_EARLY_HINTS};
use crate::ffi::upstream::reply::Reply;
use crate::ffi::upstream::response_body::{BodyRead, ResponseBody};
use crate::panic_probe::probe_panic;

/// A request passed to the daemon.
#[derive(Debug, Default)]
pub(crate) struct Forwarding {
    body: ResponseBody,
}

impl Exchange for Forwarding {
    type Location = LocationConf;

    const SENDS_BODY: bool = true;

    fn greeting(location: &LocationConf) -> &[u8] {
        location.application().map_or(&[], |application| &application.greeting)
    }

    fn unreachable_page(location: &LocationConf, problem: impl FnOnce() -> String) -> Option<(u16, Vec<u8>)> {
        let friendly = location.application()?.friendly;
        let error = OwnError::unreachable(&if friendly { problem() } else { String::new() });
        Some((error.status, error.html(friendly)))
    }

    fn write_head(
        &mut self,
        request: Request<'_>,
        location: &LocationConf,
        body: Body,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        probe_panic(location, "request");
        let application = location.application().ok_or("the location is not enabled")?;
        let served = served::of(request).ok_or("the request's application is not known")?;
        encode::write_head(request, location, application, &served.location, body, out)
    }

    fn read_head(
        &mut self,
        request: Request<'_>,
        location: &LocationConf,
        reply: &mut Reply<'_>,
        bytes: &[u8],
        room: usize,
    ) -> HeadRead {
        probe_panic(location, "head");
        if SENDS_EARLY_HINTS {
            match decode::read_interim(reply, bytes) {
                Ok(None) => {}
                Ok(Some(used)) => return HeadRead::Interim(used),
                Err(err) => return reject(request, &err),
            }
        }
        match decode::read_head(request, encode::is_upgrade(request), reply, bytes, room) {
            Ok(None) => HeadRead::NeedMore,
            Ok(Some(head)) => {
                self.body = head.body;
                if let Some(served) = served::of(request) {
                    served.set_served_by(head.served_by);
                }
                HeadRead::Found(head.used)
            }
            Err(err) => reject(request, &err),
        }
    }

    fn read_body(
        &mut self,
        request: Request<'_>,
        location: &LocationConf,
        bytes: &[u8],
        take: &mut dyn FnMut(Range<usize>) -> Result<(), OutOfMemory>,
    ) -> BodyRead {
        probe_panic(location, "body");
        self.body.read(request, bytes, take)
    }

    fn body(&mut self) -> &mut ResponseBody {
        &mut self.body
    }
}

/// Decides what happens to a request whose response has no usable head.
pub(crate) fn reject(request: Request<'_>, err: &ResponseError) -> HeadRead {
    if matches!(err, ResponseError::OutOfMemory) {
        return HeadRead::Failed;
    }
    request.log().error(format_args!("{err}"));
    HeadRead::Invalid
}
