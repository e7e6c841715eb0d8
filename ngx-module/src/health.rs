//! `passenger_health`: asks the daemon whether it serves requests, for load balancers. Where it does not answer, the
//! response is 503 with the reason. It does not depend on an application.

use protocol::status::{StatusPart, StatusQuestion};

use crate::conf::LocationConf;
use crate::ffi::request::Request;
use crate::ffi::request::content::{ContentHandler, Decision};
use crate::ffi::upstream::body::Body;
use crate::ffi::upstream::exchange::{Exchange, HeadRead, OwnResponse};
use crate::ffi::upstream::reply::Reply;
use crate::ffi::upstream::response_body::ResponseBody;
use crate::status::{NOT_ALLOWED, read_answer};

/// The content handler of locations with `passenger_health`.
#[derive(Debug)]
pub(crate) struct Health;

/// A question for the daemon's health.
#[derive(Debug, Default)]
pub(crate) struct HealthRequest {
    body: ResponseBody,
}

/// Time limit of the daemon's answer, in milliseconds. Load balancers wait a few seconds.
pub(crate) const TIMEOUT: usize = 5000;

const UNAVAILABLE: u16 = 503;

impl ContentHandler for Health {
    type Location = LocationConf;
    type Exchange = HealthRequest;

    fn decide(request: Request<'_>, _location: &LocationConf) -> Decision<HealthRequest> {
        if request.is_get_or_head() {
            Decision::Forward(HealthRequest::default())
        } else {
            Decision::Status(NOT_ALLOWED)
        }
    }

    fn decide_last(_request: Request<'_>, _location: &LocationConf) -> Decision<HealthRequest> {
        Decision::Decline
    }
}

impl Exchange for HealthRequest {
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
        let part = if wants_json(request) { StatusPart::HealthJson } else { StatusPart::Health };
        let question = StatusQuestion { part, to_head: request.is_head() };
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
        read_answer(request, "passenger_health", &mut self.body, (reply, bytes, room))
    }

    fn without_daemon(&self, request: Request<'_>) -> Option<OwnResponse> {
        let (content_type, body) = if wants_json(request) {
            (
                "application/json",
                "{\"status\":\"error\",\"message\":\"flying-passenger does not answer; nginx's error log has the \
                 reason\"}\n",
            )
        } else {
            (
                "text/plain; charset=utf-8",
                "flying-passenger does not answer; nginx's error log has the reason\n",
            )
        };
        Some(OwnResponse { status: UNAVAILABLE, content_type, body })
    }

    fn body(&mut self) -> &mut ResponseBody {
        &mut self.body
    }
}

/// Whether the client names JSON as a type that it accepts.
fn wants_json(request: Request<'_>) -> bool {
    let mut accepted = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case(b"accept"));
    accepted.any(|(_, value)| {
        let mut types = value.split(|byte| matches!(byte, b',' | b';'));
        types.any(|media| media.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    })
}
