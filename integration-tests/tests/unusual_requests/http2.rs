//! Requests of HTTP/2, with prior knowledge.

const HEADERS: u8 = 1;
const DATA: u8 = 0;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

type Field<'a> = (&'a [u8], &'a [u8]);

const ORDINARY: [Field<'static>; 4] =
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"example.org")];
const POST: [Field<'static>; 4] =
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"example.org")];

/// Returns each connection's bytes with its name.
pub(super) fn cases() -> Vec<(String, Vec<u8>)> {
    let fields = field_cases().into_iter().enumerate();
    let fields = fields.map(|(at, fields)| (format!("fields {at}"), get(&fields)));
    let frames = frame_cases().into_iter().enumerate();
    let frames = frames.map(|(at, frames)| (format!("frames {at}"), connection(&frames)));
    fields.chain(frames).collect()
}

/// A request and then nothing: the last frame of the client asks for the end of the connection.
fn get(fields: &[Field<'_>]) -> Vec<u8> {
    connection(&[frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields))])
}

fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    let settings = frame(4, 0, 0, &[]);
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings, frames.concat()].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes fields as literals without indexing, without Huffman coding (RFC 7541, 6.2.2).
fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        put_text(&mut block, name);
        put_text(&mut block, value);
    }
    block
}

fn put_text(block: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(rest as u8);
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}

fn with(more: &[Field<'static>]) -> Vec<Field<'static>> {
    [&ORDINARY, more].concat()
}

fn field_cases() -> Vec<Vec<Field<'static>>> {
    let [method, scheme, path, authority] = ORDINARY;
    vec![
        with(&[]),
        with(&[(b"connection", b"close")]),
        with(&[(b"transfer-encoding", b"chunked")]),
        with(&[(b"keep-alive", b"timeout=5")]),
        with(&[(b"upgrade", b"websocket")]),
        with(&[(b"proxy-connection", b"close")]),
        with(&[(b"te", b"gzip")]),
        with(&[(b"te", b"trailers")]),
        with(&[(b"X-Upper", b"1")]),
        with(&[(b"x\ny", b"1")]),
        with(&[(b"x", b"a\r\nsmuggled: 1")]),
        with(&[(b"x", b"a\nb")]),
        with(&[(b"x", b"a\0b")]),
        with(&[(b"x y", b"1")]),
        with(&[(b"x:y", b"1")]),
        with(&[(b"", b"1")]),
        with(&[(b"x_forwarded_for", b"192.0.2.1")]),
        with(&[(b"x-forwarded-user", b"root")]),
        with(&[(b"proxy", b"http://192.0.2.1/")]),
        with(&[(b"x", b" a ")]),
        with(&[(b"host", b"other.example")]),
        with(&[(b"host", b"example.org"), (b"host", b"other.example")]),
        with(&[(b"content-length", b"5")]),
        with(&[(b"content-length", b"0"), (b"content-length", b"5")]),
        with(&[(b":method", b"POST")]),
        with(&[(b":path", b"/y")]),
        with(&[(b":unknown", b"x")]),
        with(&[(b":status", b"200")]),
        with(&[(b"cookie", b"a=1"), (b"cookie", b"b=2")]),
        vec![scheme, path, authority],
        vec![method, path, authority],
        vec![method, scheme, authority],
        vec![method, scheme, path],
        vec![method, (b"x", b"1"), scheme, path, authority],
        vec![method, scheme, (b":path", b""), authority],
        vec![method, scheme, (b":path", b"*"), authority],
        vec![method, scheme, (b":path", b"x"), authority],
        vec![method, scheme, (b":path", b"http://other.example/x"), authority],
        vec![method, scheme, (b":path", b"/a b"), authority],
        vec![method, scheme, (b":path", b"/a\r\nb"), authority],
        vec![method, scheme, (b":path", b"/a#b"), authority],
        vec![method, scheme, (b":path", b"/../x"), authority],
        vec![method, scheme, (b":path", b"/a%2Fb%00"), authority],
        vec![method, scheme, path, (b":authority", b"")],
        vec![method, scheme, path, (b":authority", b"a/b")],
        vec![method, scheme, path, (b":authority", b"user@example.org")],
        vec![method, (b":scheme", b"ftp"), path, authority],
        vec![(b":method", b"G T"), scheme, path, authority],
        vec![(b":method", b"GET / HTTP/1.1\r\nX: y"), scheme, path, authority],
        vec![(b":method", b"CONNECT"), authority],
        vec![(b":method", b"CONNECT"), scheme, path, authority, (b":protocol", b"websocket")],
        vec![(b":method", b"TRACE"), scheme, path, authority],
    ]
}

fn frame_cases() -> Vec<Vec<Vec<u8>>> {
    let post = |more: &[Field<'_>]| frame(HEADERS, END_HEADERS, 1, &block(&[&POST, more].concat()));
    let data = |flags: u8, bytes: &[u8]| frame(DATA, flags, 1, bytes);
    let ordinary = block(&ORDINARY);
    let (first, second) = ordinary.split_at(10);
    vec![
        vec![post(&[]), data(END_STREAM, b"hello")],
        vec![post(&[(b"content-length", b"5")]), data(END_STREAM, b"hello")],
        vec![post(&[(b"content-length", b"3")]), data(END_STREAM, b"hello")],
        vec![post(&[(b"content-length", b"9")]), data(END_STREAM, b"hello")],
        vec![post(&[(b"content-length", b"0")]), data(END_STREAM, b"GET /smuggled HTTP/1.1\r\n\r\n")],
        vec![post(&[]), frame(DATA, END_STREAM | PADDED, 1, b"\x03hello\0\0\0")],
        vec![post(&[]), frame(DATA, END_STREAM | PADDED, 1, b"\xffhello")],
        vec![frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, second)],
        vec![frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 3, second)],
        vec![frame(HEADERS, END_STREAM, 1, first), data(END_STREAM, b"hello")],
        vec![frame(HEADERS, END_STREAM | END_HEADERS, 2, &ordinary)],
        vec![frame(HEADERS, END_STREAM | END_HEADERS, 0, &ordinary)],
        vec![data(END_STREAM, b"hello")],
        vec![post(&[]), data(END_STREAM, b"hello"), data(END_STREAM, b"again")],
        vec![frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x80")],
        vec![frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f")],
        vec![frame(HEADERS, END_STREAM | END_HEADERS, 1, &[&ordinary[..], b"\x00\x7f"].concat())],
    ]
}

/// Returns a request, and the same request followed by trailers.
pub(super) fn trailers() -> (Vec<u8>, Vec<Vec<u8>>) {
    let head = frame(HEADERS, END_HEADERS, 1, &block(&POST));
    let without = connection(&[head.clone(), frame(DATA, END_STREAM, 1, b"hel")]);
    let data = frame(DATA, 0, 1, b"hel");
    let with = [(b"x-trailer".as_slice(), b"1".as_slice()), (b":path", b"/y"), (b"content-length", b"9")];
    let with = with.map(|field| {
        let trailers = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&[field]));
        connection(&[head.clone(), data.clone(), trailers])
    });
    (without, with.to_vec())
}
