//! `passenger_status`: sends a client's request for the status page to the daemon and passes on the response. It does
//! not depend on an application.

use module_core::host;
use module_core::response_head::HeadError;
use protocol::response::AbortReason;
use protocol::status::{StatusPart, StatusQuestion};

use crate::conf::LocationConf;
use crate::decode::{self, ResponseError};
use crate::ffi::conf::server_names::ServerName;
use crate::ffi::request::Request;
use crate::ffi::request::content::{ContentHandler, Decision};
use crate::ffi::upstream::body::Body;
use crate::ffi::upstream::exchange::{Exchange, HeadRead};
use crate::ffi::upstream::reply::Reply;
use crate::ffi::upstream::response_body::ResponseBody;
use crate::upstream::reject;

/// The content handler of locations with `passenger_status`.
#[derive(Debug)]
pub(crate) struct StatusPage;

/// A request to the daemon's status page.
#[derive(Debug)]
pub(crate) struct StatusRequest {
    body: ResponseBody,
}

const FORBIDDEN: u16 = 403;
const NOT_ALLOWED: u16 = 405;

impl ContentHandler for StatusPage {
    type Location = LocationConf;
    type Exchange = StatusRequest;

    fn decide(request: Request<'_>, location: &LocationConf) -> Decision<StatusRequest> {
        if may_be_rebound(request, &location.server_names) {
            let host = String::from_utf8_lossy(request.host());
            request.log().error(format_args!(
                "passenger_status is refused: \"{host}\" is not a server_name of this server, and a web page can make a \
                 browser send it (DNS rebinding); if the name is yours, add it to \"server_name\""
            ));
            return Decision::Status(FORBIDDEN);
        }
        if request.is_get_or_head() {
            Decision::Forward(StatusRequest { body: ResponseBody::default() })
        } else {
            Decision::Status(NOT_ALLOWED)
        }
    }

    fn decide_last(_request: Request<'_>, _location: &LocationConf) -> Decision<StatusRequest> {
        Decision::Decline
    }
}

impl Exchange for StatusRequest {
    type Location = LocationConf;

    /// The body of a GET is ignored.
    const SENDS_BODY: bool = false;

    fn greeting(location: &LocationConf) -> &[u8] {
        location.status_greeting()
    }

    fn write_head(
        &mut self,
        request: Request<'_>,
        _location: &LocationConf,
        _body: Body,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let question = StatusQuestion { part: part(request.args()), to_head: request.is_head() };
        question.write_frame(out).map_err(|err| err.to_string())
    }

    fn read_head(
        &mut self,
        request: Request<'_>,
        _location: &LocationConf,
        reply: &mut Reply<'_>,
        bytes: &[u8],
        room: usize,
    ) -> HeadRead {
        match decode::read_head(request, false, reply, bytes, room) {
            Ok(None) => HeadRead::NeedMore,
            Ok(Some(head)) => {
                self.body = head.body;
                HeadRead::Found(head.used)
            }
            Err(ResponseError::Frames(err @ HeadError::Aborted(AbortReason::BadRequest, _))) => {
                request.log().error(format_args!(
                    "{err}; upgrade flying-passenger to a release that supports passenger_status"
                ));
                HeadRead::Invalid
            }
            Err(err) => reject(request, &err),
        }
    }

    fn body(&mut self) -> &mut ResponseBody {
        &mut self.body
    }
}

/// Whether the request may come from an attacker's page in a browser whose address nginx allows: it is for a name that
/// is not known to be the server's. Over TLS the browser has checked the name. A server without a specific name accepts
/// any name, so there only clients on this machine, which `allow 127.0.0.1` lets in, are refused.
fn may_be_rebound(request: Request<'_>, names: &[ServerName]) -> bool {
    !request.is_https()
        && !host::is_safe_from_rebinding(request.host())
        && !names.iter().any(|name| name.matches(request.host()).is_some())
        && (names.iter().any(ServerName::is_specific) || host::is_loopback(request.remote_address().0))
}

/// Returns the part that the query selects. The page requests its data at its own address with a query, Prometheus its
/// metrics. Prometheus always writes a `=` after a name.
fn part(query: &[u8]) -> StatusPart {
    let asks_for = |name: &[u8]| {
        let mut words = query.split(|byte| *byte == b'&');
        words.any(|word| word.strip_suffix(b"=").unwrap_or(word) == name)
    };
    match (asks_for(b"data"), asks_for(b"metrics")) {
        (true, _) => StatusPart::Data,
        (_, true) => StatusPart::Metrics,
        _ => StatusPart::Page,
    }
}
