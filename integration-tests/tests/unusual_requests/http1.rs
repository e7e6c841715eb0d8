//! Requests of HTTP/1.

/// Returns each request with its name. All ask for the end of the connection unless the case is about that.
pub(super) fn cases() -> Vec<(String, Vec<u8>)> {
    let groups: [(&str, Vec<Vec<u8>>); 8] = [
        ("content length", content_lengths()),
        ("transfer encoding", transfer_encodings()),
        ("chunk", chunks()),
        ("header", headers()),
        ("request line", request_lines()),
        ("target", targets()),
        ("host", hosts()),
        ("connection", connections()),
    ];
    let named = |(name, cases): (&str, Vec<Vec<u8>>)| {
        let cases = cases.into_iter().enumerate();
        cases.map(|(at, bytes)| (format!("{name} {at}"), bytes)).collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(named).collect()
}

const HOST: &str = "Host: example.org\r\nConnection: close\r\n";

fn get(headers: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /x HTTP/1.1\r\n", HOST.as_bytes(), headers.as_ref(), b"\r\n"].concat()
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /x HTTP/1.1\r\n{HOST}{headers}\r\n{body}").into_bytes()
}

fn line(first: impl AsRef<[u8]>) -> Vec<u8> {
    [first.as_ref(), b"\r\n", HOST.as_bytes(), b"\r\n"].concat()
}

fn target(target: impl AsRef<[u8]>) -> Vec<u8> {
    line([b"GET ", target.as_ref(), b" HTTP/1.1"].concat())
}

/// A second request, which must not be taken for one where it is in a body.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: example.org\r\n\r\n";

fn content_lengths() -> Vec<Vec<u8>> {
    let values = [
        "5",
        " 5",
        "5 ",
        "\t5",
        "+5",
        "-1",
        "0x5",
        "5a",
        "",
        "5, 5",
        "5,5",
        "05",
        "5.0",
        "1e1",
        "99999999999999999999",
        "18446744073709551621",
        "٥",
        "\"5\"",
    ];
    let mut cases: Vec<_> =
        values.iter().map(|value| post(&format!("Content-Length:{value}\r\n"), "hello")).collect();
    cases.extend([
        post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
        post("Content-Length: 0\r\nContent-Length: 48\r\n", SECOND),
        post("Content-Length : 5\r\n", "hello"),
        post("Content_Length: 5\r\n", "hello"),
        post("content-length: 5\r\n", "hello"),
        post("Content-Length: 5\0\r\n", "hello"),
        post("Content-Length\t: 5\r\n", "hello"),
        post("X: y\r\n Content-Length: 5\r\n", "hello"),
        post("", SECOND),
        get(format!("Content-Length: {}\r\n\r\n{SECOND}", SECOND.len())),
    ]);
    cases
}

fn transfer_encodings() -> Vec<Vec<u8>> {
    const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";
    let values = [
        "chunked",
        "CHUNKED",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "xchunked",
        "\u{b}chunked",
        "\"chunked\"",
        "chunked;q=1",
        "",
        "chunked,",
        ",chunked",
        "\tchunked",
        "chunked\t",
        "chun ked",
        "chunked\0",
        "chunked\u{c}",
    ];
    let mut cases: Vec<_> =
        values.iter().map(|value| post(&format!("Transfer-Encoding: {value}\r\n"), CHUNKS)).collect();
    cases.extend([
        post("Content-Length: 15\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
        post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", CHUNKS),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKS),
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
        post("Transfer-Encoding : chunked\r\n", CHUNKS),
        post("Transfer_Encoding: chunked\r\n", CHUNKS),
        post("X: y\r\n Transfer-Encoding: chunked\r\n", CHUNKS),
        post("Transfer-Encoding:\r\n chunked\r\n", CHUNKS),
        post("Transfer-Encoding: chunked\nX: y\r\n", CHUNKS),
        post(&format!("Transfer-Encoding: xchunked\r\nContent-Length: {}\r\n", SECOND.len()), SECOND),
        format!("POST /x HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{CHUNKS}").into_bytes(),
        format!("POST /x HTTP/1.0\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}")
            .into_bytes(),
    ]);
    cases
}

fn chunks() -> Vec<Vec<u8>> {
    let bodies = [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5 ;a=\"b\r\n\"\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "00000000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "3\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\rX\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Trailer: 1\r\nContent-Length: 3\r\nHost: evil\r\n\r\n",
        "5\r\nhello\r\n0\r\n X: folded\r\n\r\n",
        "5\r\nhello\r\n00\r\n\r\n",
        "0\r\n\r\n",
    ];
    bodies.iter().map(|body| post("Transfer-Encoding: chunked\r\n", body)).collect()
}

fn headers() -> Vec<Vec<u8>> {
    let lines: [&[u8]; 30] = [
        b"X: a\rY: b\r\n",
        b"X: a\nY: b\r\n",
        b"X: a\0b\r\n",
        b"X\0: a\r\n",
        b"X: a\r\n folded\r\n",
        b"X: a\r\n\tfolded\r\n",
        b" X: a\r\n",
        b"X\r\n",
        b": a\r\n",
        b"X Y: a\r\n",
        b"X\tY: a\r\n",
        b"X : a\r\n",
        b"X: \x01\r\n",
        b"X: \x7f\r\n",
        b"X: \xff\xfe\r\n",
        b"X\xff: a\r\n",
        b"X(Y): a\r\n",
        b"X\"Y: a\r\n",
        b"X: \r\n",
        b"X:a\r\n",
        b"X:\ta\t\r\n",
        b"X_Y: a\r\n",
        b"X.Y: a\r\n",
        b"X-Forwarded_For: 192.0.2.1\r\n",
        b"X_Forwarded_Proto: https\r\n",
        b"X-Forwarded-User: root\r\nX_Forwarded_User: root\r\n",
        b"Proxy: http://192.0.2.1/\r\n",
        b"Cookie: a=1\r\nCookie: b=2\r\n",
        b"X: a\r\nx: b\r\n",
        b"X: a\r\r\n",
    ];
    let mut cases: Vec<_> = lines.iter().map(get).collect();
    cases.push(get("X: y\r\n".repeat(1200)));
    cases.push(get(format!("X: {}\r\n", "y".repeat(70_000))));
    cases.push(get(format!("{}: y\r\n", "X".repeat(70_000))));
    cases
}

fn request_lines() -> Vec<Vec<u8>> {
    let lines: [&[u8]; 24] = [
        b"\r\nGET /x HTTP/1.1",
        b"\nGET /x HTTP/1.1",
        b" GET /x HTTP/1.1",
        b"GET  /x HTTP/1.1",
        b"GET /x  HTTP/1.1",
        b"GET\t/x\tHTTP/1.1",
        b"GET /x HTTP/1.1 ",
        b"GET /x HTTP/1.1 more",
        b"GET /x",
        b"GET /x HTTP/0.9",
        b"GET /x HTTP/1.2",
        b"GET /x HTTP/2.0",
        b"GET /x HTTP/3",
        b"GET /x http/1.1",
        b"GET /x HTTP/01.1",
        b"GET /x HTTP/1.01",
        b"GET /x ICY/1.1",
        b"get /x HTTP/1.1",
        b"G=T /x HTTP/1.1",
        b"G\0T /x HTTP/1.1",
        b"G\xffT /x HTTP/1.1",
        b"/x HTTP/1.1",
        b"TRACE /x HTTP/1.1",
        b"CONNECT example.org:443 HTTP/1.1",
    ];
    let mut cases: Vec<_> = lines.iter().map(line).collect();
    cases.push(line("PRI * HTTP/2.0\r\n\r\nSM\r\n"));
    cases.push(line("OPTIONS * HTTP/1.1"));
    cases.push(line(format!("{} /x HTTP/1.1", "M".repeat(40))));
    cases.push(format!("GET /x HTTP/1.1\n{}\n", HOST.replace("\r\n", "\n")).into_bytes());
    cases.push(format!("GET /x HTTP/1.1\r{}\r\r\n", HOST.replace("\r\n", "\r")).into_bytes());
    cases
}

fn targets() -> Vec<Vec<u8>> {
    let targets: [&[u8]; 32] = [
        b"http://example.org/x",
        b"http://other.example/x",
        b"https://other.example:8443/x?y",
        b"http://user:secret@other.example/x",
        b"http://other.example",
        b"http:///x",
        b"ftp://other.example/x",
        b"other.example:80",
        b"//other.example/x",
        b"///x",
        b"/a/../b",
        b"/../../etc/passwd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/a/..%2f..%2fb",
        b"/a%2Fb%5cc",
        b"/a%00b",
        b"/a%zz",
        b"/%",
        b"/a\\b",
        b"/a#b",
        b"/a?b#c",
        b"/a b",
        b"/a\tb",
        b"/a\x01b",
        b"/a\x7fb",
        b"/\xc3\xa9",
        b"/a;b=c",
        b"a/b",
        b"?x=1",
        b"*",
        b"/a\0b",
        b"/./x/.",
    ];
    let mut cases: Vec<_> = targets.iter().map(target).collect();
    cases.push(target(format!("/{}", "x".repeat(20_000))));
    cases.push(target("/x?".to_owned() + &"%".repeat(100)));
    cases
}

fn hosts() -> Vec<Vec<u8>> {
    let hosts: [&[u8]; 20] = [
        b"",
        b"Host: example.org\r\nHost: example.org\r\n",
        b"Host: example.org\r\nHost: other.example\r\n",
        b"Host:\r\n",
        b"Host: a/b\r\n",
        b"Host: a b\r\n",
        b"Host: a\0b\r\n",
        b"Host: a, b\r\n",
        b"Host: example.org:80abc\r\n",
        b"Host: example.org:\r\n",
        b"Host: example.org:99999999\r\n",
        b"Host: user@example.org\r\n",
        b"Host: EXAMPLE.org.\r\n",
        b"Host: [::1]\r\n",
        b"Host: [::1\r\n",
        b"Host: ..\r\n",
        b"Host: a\\b\r\n",
        b"Host: a?b\r\n",
        b"Host: \xff\r\n",
        b"Host : example.org\r\n",
    ];
    let mut cases: Vec<_> = hosts
        .iter()
        .map(|host| [b"GET /x HTTP/1.1\r\nConnection: close\r\n", *host, b"\r\n"].concat())
        .collect();
    cases.push(b"GET /x HTTP/1.0\r\n\r\n".to_vec());
    cases.push(b"GET http://other.example/x HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec());
    cases
}

fn connections() -> Vec<Vec<u8>> {
    let named = |headers: &str| format!("GET /x HTTP/1.1\r\nHost: example.org\r\n{headers}\r\n").into_bytes();
    let mut cases: Vec<_> = [
        "Connection: close, X-Own\r\nX-Own: 1\r\n",
        "Connection: close, Cookie\r\nCookie: a=1\r\n",
        "Connection: close, Host\r\n",
        "Connection: close\r\nConnection: X-Own\r\nX-Own: 1\r\n",
        "Connection: close, X-Forwarded-For\r\nX-Forwarded-For: 192.0.2.1\r\n",
        "Connection: close,,;=\r\n",
        "Connection: close\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X\r\n",
        "Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: close, Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: close\r\nExpect: 100-continue\r\n",
        "Connection: close\r\nExpect: something-else\r\n",
        "Connection: close\r\nProxy-Authorization: Basic eDp5\r\n",
        "Connection: close\r\nMax-Forwards: 0\r\n",
    ]
    .iter()
    .map(|headers| named(headers))
    .collect();
    cases.extend([
        post("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"),
        post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        [post("Content-Length: 5\r\n", "hello"), SECOND.as_bytes().to_vec()].concat(),
        [named("Connection: keep-alive\r\n"), get("")].concat(),
    ]);
    cases
}
