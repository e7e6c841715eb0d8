//! `passenger_status`: a visitor's request comes in, a question for the daemon's status page goes out, and its answer back.
//! It knows no application.

use std::ops::Range;

use module_core::host;
use module_core::response_head::HeadError;
use protocol::response::AbortReason;
use protocol::status::{StatusPart, StatusQuestion};

use crate::answer_body::AnswerBody;
use crate::conf::LocationConf;
use crate::decode::{self, Asked, Unusable};
use crate::ffi::body::Body;
use crate::ffi::content::{Answer, ContentHandler};
use crate::ffi::exchange::{BodyRead, Ending, Exchange, HeadRead};
use crate::ffi::pool::OutOfMemory;
use crate::ffi::reply::Reply;
use crate::ffi::request::Request;
use crate::ffi::server_names::ServerName;
use crate::unreachable;
use crate::upstream::unusable;

/// The content handler of locations with `passenger_status`.
#[derive(Debug)]
pub(crate) struct StatusPage;

/// A question that is under way.
#[derive(Debug)]
pub(crate) struct Question {
    body: AnswerBody,
}

const FORBIDDEN: u16 = 403;
const NOT_ALLOWED: u16 = 405;

impl ContentHandler for StatusPage {
    type Location = LocationConf;
    type Exchange = Question;

    fn decide(request: Request<'_>, location: &LocationConf) -> Answer<Question> {
        if may_be_rebound(request, &location.server_names) {
            let host = String::from_utf8_lossy(request.host());
            request.log().error(format_args!(
                "passenger_status is refused: \"{host}\" is not a server_name of this server, and a web page can make a \
                 browser send it (DNS rebinding); if the name is yours, add it to \"server_name\""
            ));
            return Answer::Status(FORBIDDEN);
        }
        if request.is_get_or_head() {
            Answer::Forward(Question { body: AnswerBody::unknown() })
        } else {
            Answer::Status(NOT_ALLOWED)
        }
    }
}

impl Exchange for Question {
    type Location = LocationConf;

    /// What a GET may carry is of no interest.
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

    fn start_again(&mut self) {
        self.body = AnswerBody::unknown();
    }

    fn read_head(
        &mut self,
        request: Request<'_>,
        _location: &LocationConf,
        reply: &mut Reply<'_>,
        bytes: &[u8],
        room: usize,
    ) -> HeadRead {
        let asked = Asked { is_head: request.is_head(), is_http1: request.is_http_1(), is_upgrade: false };
        match decode::read_head(asked, reply, bytes, room) {
            Ok(None) => HeadRead::NeedMore,
            Ok(Some(begun)) => {
                self.body.begins(begun.body, begun.is_last);
                HeadRead::Found(begun.used)
            }
            Err(Unusable::Frames(err @ HeadError::Aborted(AbortReason::BadRequest, _))) => {
                request
                    .log()
                    .error(format_args!("{err}: it has no status page yet, upgrade it for passenger_status"));
                HeadRead::Invalid
            }
            Err(err) => unusable(request, &err),
        }
    }

    fn read_body(
        &mut self,
        request: Request<'_>,
        _location: &LocationConf,
        bytes: &[u8],
        take: &mut dyn FnMut(Range<usize>) -> Result<(), OutOfMemory>,
    ) -> BodyRead {
        self.body.read(request, bytes, take)
    }

    fn needs(&self) -> usize {
        self.body.needs()
    }

    fn expects(&self) -> u64 {
        self.body.expects()
    }

    fn over(&mut self, request: Request<'_>, _location: &LocationConf, ending: Ending<'_>) {
        if ending.unreachable {
            unreachable::advise(request, ending.peer);
        }
    }
}

/// Whether the request may come from a page of an attacker in a browser that nginx would let in by its address: it is for a
/// name that is not known to be the server's. Over TLS the browser has checked the name. A server with no telling name is
/// called by whatever name leads to it, so only clients on this machine, whom `allow 127.0.0.1` lets in, are refused there.
fn may_be_rebound(request: Request<'_>, names: &[ServerName]) -> bool {
    !request.is_https()
        && !host::is_harmless(request.host())
        && !names.iter().any(|name| name.matches(request))
        && (names.iter().any(ServerName::is_telling) || host::is_of_this_machine(request.remote_address().0))
}

/// The page asks for what it shows at its own address with a query, and Prometheus for its figures. Prometheus cannot but
/// write a `=` behind a name.
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
