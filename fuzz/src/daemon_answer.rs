//! Arbitrary bytes as the daemon's response, read as the module reads it in nginx: the result does not depend on how
//! the bytes are split, no byte outside of them is accessed, and nothing panics.

use module_core::response_body::{BodyDecoder, Piece};
use module_core::response_head::{find_head, find_interim};

/// nginx's buffer for a head (`passenger_buffer_size`).
const ROOM: usize = 16 * 1024;

/// The result of reading a response.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Status and number of headers, once a head is found.
    head: Option<(u16, usize)>,
    body: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Complete after this many bytes.
    Complete(usize),
    /// More bytes are needed.
    Incomplete,
    /// Refused, for this reason.
    Refused(String),
}

/// Checks one input. The first byte gives the size of the pieces.
pub fn check(data: &[u8]) {
    let Some((&cut, answer)) = data.split_first() else { return };
    let whole = read(answer, answer.len().max(1));
    let pieces = read(answer, usize::from(cut).max(1));
    assert_eq!(whole.head, pieces.head);
    assert_eq!(whole.end, pieces.end);
    if matches!(whole.end, End::Refused(_)) {
        // How much of the body was passed on before the error depends on the pieces.
        assert!(whole.body.starts_with(&pieces.body) || pieces.body.starts_with(&whole.body));
    } else {
        assert_eq!(whole.body, pieces.body);
    }
}

/// Reads a response that arrives in pieces of `step` bytes.
fn read(answer: &[u8], step: usize) -> Outcome {
    let mut outcome = Outcome { head: None, body: Vec::new(), end: End::Incomplete };
    let mut came = 0;
    while came < answer.len() {
        came = (came + step).min(answer.len());
        // Beyond the buffer nginx itself gives up.
        let received = &answer[..came.min(ROOM)];
        if let Err(err) = find_interim(received) {
            assert!(find_head(received, ROOM).is_err() || find_head(received, ROOM) == Ok(None), "{err}");
        }
        match find_head(received, ROOM) {
            Ok(None) if received.len() == ROOM => break,
            Ok(None) => {}
            Ok(Some(head)) => {
                assert!(head.used <= received.len());
                let headers = head.response.headers.iter().count();
                outcome.head = Some((head.response.head.status, headers));
                let mut decoder = BodyDecoder::new(head.response.head.body, head.ends);
                read_body(&mut decoder, answer, head.used, came, step, &mut outcome);
                return outcome;
            }
            Err(err) => {
                outcome.end = End::Refused(err.to_string());
                return outcome;
            }
        }
    }
    outcome
}

fn read_body(
    decoder: &mut BodyDecoder,
    answer: &[u8],
    mut from: usize,
    mut to: usize,
    step: usize,
    outcome: &mut Outcome,
) {
    loop {
        let input = &answer[from..to];
        let mut at = 0;
        loop {
            let before = at;
            let piece = decoder.next(input, &mut at);
            assert!(before <= at && at <= input.len());
            match piece {
                Ok(Piece::Data(range)) => {
                    assert!(!range.is_empty() && range.end <= at);
                    outcome.body.extend_from_slice(&input[range]);
                }
                Ok(Piece::NeedMore) => {
                    assert_eq!(at, input.len(), "all input is used");
                    assert!(decoder.needs() >= 1);
                    break;
                }
                Ok(Piece::End { used }) => {
                    assert!(used <= input.len() && decoder.needs() == 0 && decoder.expects() == 0);
                    outcome.end = End::Complete(from + used);
                    return;
                }
                Err(err) => {
                    outcome.end = End::Refused(err.to_string());
                    return;
                }
            }
        }
        if to == answer.len() {
            return;
        }
        from = to;
        to = (to + step).min(answer.len());
    }
}
