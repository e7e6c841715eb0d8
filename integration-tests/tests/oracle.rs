//! Compares responses through the module with those of nginx's `proxy_pass` to the same process.
//!
//! Each case is sent, byte for byte, to two nginx instances that differ in this only. Intended differences are removed by
//! name in [`seen`].

use std::cell::RefCell;
use std::io::Write;
use std::process::{Command, Stdio};

use test_support::{App, Connection, Daemon, Language, Nginx, Request, Response, TestDir, for_each_language};

const CONF: &str = r#"
    %%GLOBALS%%
    events { worker_connections 512; }
    http {
        %%HTTP%%
        upstream plain { server 127.0.0.1:%%APP_PORT%%; keepalive 8; }
        %%FLY%%
        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
        proxy_buffering off; proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_read_timeout 200m;
        underscores_in_headers off; default_type text/plain;
        limit_req_zone $binary_remote_addr zone=slow:1m rate=1r/m;
        server {
            listen 127.0.0.1:%%PORT%%;
            listen 127.0.0.1:%%H2%% http2;
            root %%DIR%%/app/public;
            location / { %%TO%% }
            location /gzipped/ { gzip on; gzip_min_length 1; gzip_types *; rewrite ^/gzipped(/.*)$ $1 break; %%TO%% }
            location /fallback { try_files /nothing @app; }
            location @app { %%TO%% }
            location /missing { %%INTERCEPT%% error_page 404 = @app404; %%TO%% }
            location @app404 { rewrite ^ /pid-of-nobody break; %%TO%% }
            location /page { %%INTERCEPT%% error_page 404 /404.html; rewrite ^ /nowhere break; %%TO%% }
            location = /404.html { internal; return 404 "nginx's page"; }
            location /allowed { auth_request /check?code=204; %%TO%% }
            location /denied { auth_request /refuse; %%TO%% }
            location = /check { internal; rewrite ^ /status break; %%TO%% }
            location = /refuse { internal; rewrite ^ /status?code=403 break; %%TO%% }
            location /ssi { ssi on; rewrite ^ /with break; %%TO%% }
            location /if { if ($arg_to) { rewrite ^ /env break; %%TO%% } return 418; }
            location /limited { limit_req zone=slow; rewrite ^ /env break; %%TO%% }
            location /added { add_header X-Added always-so always; rewrite ^ /env break; %%TO%% }
            location /unbuffered/ { %%UNBUFFERED%% rewrite ^/unbuffered(/.*)$ $1 break; %%TO%% }
            location /buffered/ { %%BUFFERED%% rewrite ^/buffered(/.*)$ $1 break; %%TO%% }
            location /set { rewrite ^ /env break; %%SET%% %%TO%% }
            location /passed { rewrite ^ /with break; %%PASS%% %%TO%% }
            location /ignored { rewrite ^ /with break; %%IGNORE%% %%TO%% }
            location /internal/ { internal; root %%DIR%%/app; }
            client_max_body_size 1m;
        }
    }
"#;

/// The same app behind the module and behind `proxy_pass`.
struct Pair {
    ours: Nginx,
    theirs: Nginx,
    differences: RefCell<Vec<String>>,
    /// Where the two speak HTTP/2.
    h2: [u16; 2],
    // Dropped after those in front of it.
    _daemon: Daemon,
    _app: App,
    _test_dir: TestDir,
}

impl Pair {
    fn of(language: Language) -> Self {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").standard(language).standard(Language::Generic);
        let app = app.file("internal/secret.txt", "the secret").file("public/404.html", "never shown");
        let daemon = test_dir.daemon().start();
        let h2 = [test_dir.port(), test_dir.port()];
        let ours = |language: Language| ours(language).replace("%%H2%%", &h2[0].to_string());
        let generic = test_dir.nginx(&ours(Language::Generic)).start();
        let port = generic.get("/environ?name=PORT").expect(200).text();
        let ours = if language == Language::Generic {
            generic
        } else {
            drop(generic);
            test_dir.nginx(&ours(language)).start()
        };
        let theirs = test_dir.nginx(&theirs(&port).replace("%%H2%%", &h2[1].to_string())).start();
        Self {
            ours,
            theirs,
            differences: RefCell::default(),
            h2,
            _daemon: daemon,
            _app: app,
            _test_dir: test_dir,
        }
    }

    /// Sends the bytes to both, and notes it if they answer differently.
    fn same(&self, bytes: &[u8]) {
        let method = String::from_utf8_lossy(bytes.split(|byte| *byte == b' ').next().unwrap_or_default())
            .into_owned();
        let ask = |nginx: &Nginx| {
            let mut client: Connection = nginx.connect();
            let _refused_early = client.try_send(bytes);
            client.try_read_response(&method).map(|answer| seen(&answer)).map_err(|err| err.kind())
        };
        let (ours, theirs) = (ask(&self.ours), ask(&self.theirs));
        let request = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
        if ours != theirs {
            self.differences
                .borrow_mut()
                .push(format!("{request:?}\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }

    fn same_for(&self, request: Request) {
        self.same(&request.bytes("close"));
    }

    /// The same by HTTP/2: curl with these arguments and this path.
    fn same_by_http2(&self, arguments: &[&str], path: &str) {
        let ask = |port: u16| {
            let mut curl = std::process::Command::new("curl");
            curl.args(["--silent", "--include", "--http2-prior-knowledge", "--max-time", "60"])
                .args(arguments);
            let output = curl.arg(format!("http://127.0.0.1:{port}{path}")).output().expect("curl is there");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let own = ["date:", "x-powered-by:", "status:", "trailer:", "content-length:"];
            let mut lines: Vec<&str> =
                text.lines().filter(|line| !own.iter().any(|o| line.starts_with(o))).collect();
            lines.sort_unstable();
            (output.status.code(), lines.join("\n"))
        };
        let (ours, theirs) = (ask(self.h2[0]), ask(self.h2[1]));
        assert!(theirs.0 != Some(0) || theirs.1.contains("HTTP/2 "), "curl speaks HTTP/2: {theirs:?}");
        if ours != theirs {
            self.differences
                .borrow_mut()
                .push(format!("{arguments:?} {path}\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }

    /// Fails with every difference.
    fn agree(self) {
        let differences = self.differences.take();
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    }
}

fn ours(language: Language) -> String {
    // Both kinds live in one directory: the group's name keeps them apart.
    let name = format!("passenger_app_group_name {};", language.name());
    CONF.replace("%%FLY%%", "passenger_fly_with %%SOCKET%%;")
        .replace("%%TO%%", &format!("passenger_enabled on; {} {name}", language.directives()))
        .replace("%%INTERCEPT%%", "passenger_intercept_errors on;")
        .replace("%%UNBUFFERED%%", "passenger_request_buffering off;")
        .replace("%%BUFFERED%%", "passenger_buffer_response on;")
        .replace(
            "%%SET%%",
            r#"passenger_set_header X-Set "$uri $http_host"; passenger_set_header Cookie "";"#,
        )
        .replace(
            "%%PASS%%",
            "passenger_pass_header X-Accel-Expires; passenger_pass_header X-Accel-Limit-Rate;",
        )
        .replace("%%IGNORE%%", "passenger_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate;")
        .replace("%%APP_PORT%%", "1")
}

fn theirs(port: &str) -> String {
    CONF.replace("%%FLY%%", "")
        .replace("%%TO%%", "proxy_pass http://plain;")
        .replace("%%INTERCEPT%%", "proxy_intercept_errors on;")
        .replace("%%UNBUFFERED%%", "proxy_request_buffering off;")
        .replace("%%BUFFERED%%", "proxy_buffering on;")
        .replace(
            "%%SET%%",
            r#"proxy_set_header X-Set "$uri $http_host"; proxy_set_header Cookie "";
               proxy_set_header Host $http_host; proxy_set_header Connection "";"#,
        )
        .replace("%%PASS%%", "proxy_pass_header X-Accel-Expires; proxy_pass_header X-Accel-Limit-Rate;")
        .replace("%%IGNORE%%", "proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate;")
        .replace("%%APP_PORT%%", port)
}

type ProcessInfo = (u16, Vec<(String, String)>, String, bool);

/// An answer without what differs between two moments, what only the module adds, and the announcement of trailers,
/// which nginx drops and the daemon drops with its announcement.
fn seen(answer: &Response) -> ProcessInfo {
    const OURS: [&str; 4] = ["date", "x-powered-by", "status", "trailer"];
    let headers = answer.head.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !OURS.contains(&name.as_str())).collect();
    headers.sort();
    // A body whose length the app did not specify may arrive with its length or in chunks.
    headers.retain(|(name, _)| !["content-length", "transfer-encoding"].contains(&name.as_str()));
    (answer.status(), headers, body(answer), answer.complete)
}

/// Compressed bodies differ when their parts arrived at other times: their contents are compared.
fn decompressed(body: &[u8]) -> String {
    let mut gzip = Command::new("gzip");
    let mut gzip = gzip.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Dropped at once, so that gzip sees the end. The bodies are smaller than a pipe.
    gzip.stdin.take().unwrap().write_all(body).unwrap();
    String::from_utf8_lossy(&gzip.wait_with_output().unwrap().stdout).into_owned()
}

/// What `/env` reports of the request, without the headers that differ by design; any other body as it is.
fn body(answer: &Response) -> String {
    if answer.header("content-encoding") == Some("gzip") {
        return decompressed(&answer.body);
    }
    let text = answer.text().replace("hello from node", "hello from generic");
    let Ok(mut reported) = serde_json::from_str::<serde_json::Value>(&text) else { return text };
    if let Some(raw) = reported["raw"].as_array().cloned() {
        let pairs = raw.chunks(2).filter(|pair| {
            let name = pair[0].as_str().unwrap_or_default().to_ascii_lowercase();
            !["connection", "x-forwarded-for", "x-request-id", "x-request-start"].contains(&name.as_str())
        });
        let mut pairs: Vec<String> =
            pairs.map(|pair| format!("{}: {}", pair[0], pair[1]).to_ascii_lowercase()).collect();
        pairs.sort();
        reported["raw"] = pairs.into();
    }
    reported.to_string()
}

for_each_language! {
    [node, generic]
    fn methods_and_paths(language) {
        let pair = Pair::of(language);
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "REPORT"] {
            pair.same_for(Request::new(method, "/env?a=b"));
        }
        for path in [
            "/", "/env?", "/env?a=%20&b=+&c=\"", "/%65nv", "/x/../env", "//env", "/env/%2F", "/%C3%A9/\u{e9}?\u{e9}",
            "/nowhere", "/env;v=1", "/env?a=b?c=d", "/a%00b",
        ] {
            pair.same_for(Request::get(path));
        }
        pair.same(b"GET http://other.test/env HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n");
        // Without a Host the daemon names one, proxy_pass none: see docs/REQUESTS.md.
        pair.same(b"GET /env HTTP/1.0\r\nHost: a\r\n\r\n");
        pair.same(b"GET /chunks HTTP/1.0\r\nHost: a\r\n\r\n");
        pair.agree();
    }

    [node, generic]
    fn headers_good_and_bad(language) {
        let pair = Pair::of(language);
        for lines in [
            "X-A: 1\r\nX-A: 2\r\n", "X-Empty:\r\n", "X_Under: 1\r\n", "Cookie: a=1\r\nCookie: b=2\r\n",
            "Accept: \t x \t\r\n", "Range: bytes=0-3\r\n", "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
            "Authorization: Basic YTpi\r\n", "Transfer-Encoding: identity\r\n", "X-Latin: caf\u{e9}\r\n",
            "Bad Name: x\r\n", ": no name\r\n", "X-Folded: a\r\n b\r\n", "no colon\r\n",
            "Content-Length: x\r\n", "Content-Length: -1\r\n", "Keep-Alive: 3\r\n", "TE: trailers\r\n",
        ] {
            pair.same(format!("GET /env HTTP/1.1\r\nHost: example.test\r\n{lines}Connection: close\r\n\r\n").as_bytes());
        }
        pair.same(b"GET /env HTTP/1.1\r\nConnection: close\r\n\r\n");
        pair.same(b"GET /env HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n");
        pair.same(b"GET /env HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n");
        let many: String = (0..150).map(|number| format!("X-Many-{number}: {number}\r\n")).collect();
        pair.same(format!("GET /env HTTP/1.1\r\nHost: a\r\n{many}Connection: close\r\n\r\n").as_bytes());
        let long = format!("GET /env HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\nConnection: close\r\n\r\n", "l".repeat(9000));
        pair.same(long.as_bytes());
        pair.agree();
    }

    [node, generic]
    fn request_bodies(language) {
        let pair = Pair::of(language);
        for prefix in ["", "/unbuffered"] {
            for size in [0, 1, 1000, 20_000, 300_000] {
                pair.same_for(Request::post(&format!("{prefix}/hash"), vec![b'x'; size]));
            }
            let head = format!("POST {prefix}/hash HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
            let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
            pair.same(format!("{chunked}3\r\nabc\r\n5;ext=1\r\ndefgh\r\n0\r\n\r\n").as_bytes());
            pair.same(format!("{chunked}3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n").as_bytes());
            pair.same(format!("{chunked}0\r\n\r\n").as_bytes());
            pair.same(format!("{}0\r\n\r\n", chunked.replace("/hash", "/env")).as_bytes());
            pair.same(format!("{chunked}zz\r\n").as_bytes());
            pair.same(format!("{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").as_bytes());
            pair.same(format!("{head}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc").as_bytes());
            pair.same(format!("{head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd").as_bytes());
            pair.same(format!("{head}Content-Length: 2000000\r\n\r\n").as_bytes());
        }
        pair.same(b"GET /hash HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
        pair.agree();
    }

    [node, generic]
    fn statuses_and_response_headers(language) {
        let pair = Pair::of(language);
        for code in [200, 201, 202, 204, 206, 226, 300, 301, 304, 307, 400, 401, 403, 404, 409, 410, 418, 429, 451, 500, 503, 599] {
            for method in ["GET", "HEAD", "POST"] {
                pair.same_for(Request::new(method, &format!("/status?code={code}")));
            }
        }
        for (name, value) in [
            ("X-Accel-Redirect", "/internal/secret.txt"), ("X-Accel-Redirect", "/internal/none"), ("X-Accel-Redirect", "@app404"),
            ("X-Accel-Buffering", "yes"), ("X-Accel-Buffering", "no"), ("X-Accel-Limit-Rate", "1000000"),
            ("X-Accel-Charset", "koi8-r"), ("X-Accel-Expires", "60"), ("Expires", "Thu, 01 Jan 2030 00:00:00 GMT"),
            ("Cache-Control", "private"), ("Vary", "Accept"), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("ETag", "%22abc%22"), ("Content-Encoding", "x-own"), ("Location", "/elsewhere"), ("Refresh", "3"), ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("WWW-Authenticate", "Basic"),
            ("Accept-Ranges", "bytes"), ("Link", "%3C/a.css%3E"), ("Content-Disposition", "attachment"), ("Proxy-Authenticate", "x"),
        ] {
            pair.same_for(Request::get(&format!("/with?name={name}&value={value}")));
        }
        for path in ["/cookies", "/chunks", "/trailer", "/big?bytes=100000", "/header?bytes=3000"] {
            for method in ["GET", "HEAD"] {
                pair.same_for(Request::new(method, path));
            }
        }
        pair.agree();
    }

    [node, generic]
    fn clients_of_http2(language) {
        let pair = Pair::of(language);
        for path in ["/cookies", "/chunks", "/trailer", "/status?code=304", "/nowhere", "/big?bytes=200000"] {
            pair.same_by_http2(&[], path);
            pair.same_by_http2(&["--head"], path);
        }
        for path in ["/hash", "/unbuffered/hash"] {
            let body = "x".repeat(100_000);
            pair.same_by_http2(&["--data-binary", &body], path);
            pair.same_by_http2(&["--data-binary", &body, "--header", "Content-Length:"], path);
            pair.same_by_http2(&["--data-binary", ""], path);
        }
        pair.agree();
    }

    [node, generic]
    fn headers_that_the_configuration_controls(language) {
        let pair = Pair::of(language);
        pair.same_for(Request::get("/set?a").header("Cookie", "a=1").header("X-Set", "mine"));
        for path in ["/passed", "/ignored"] {
            for (name, value) in
                [("X-Accel-Expires", "9"), ("X-Accel-Limit-Rate", "9000"), ("X-Accel-Redirect", "/internal/secret.txt")]
            {
                pair.same_for(Request::get(&format!("{path}?name={name}&value={value}")));
            }
        }
        for path in ["/hash", "/unbuffered/hash"] {
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n");
            pair.same(format!("{head}Content-Length: 3\r\n\r\nabc").as_bytes());
        }
        pair.agree();
    }

    [node, generic]
    fn what_nginx_does_around_the_app(language) {
        let pair = Pair::of(language);
        for path in [
            "/gzipped/big?bytes=5000", "/gzipped/chunks", "/fallback?a=b", "/missing", "/page", "/allowed", "/denied", "/if?to=app",
            "/if", "/added", "/404.html", "/internal/secret.txt", "/unbuffered/env", "/buffered/big?bytes=300000",
            "/buffered/chunks", "/buffered/short", "/limited", "/limited",
            "/ssi?name=Content-Type&value=text/html",
        ] {
            pair.same_for(Request::get(path));
            pair.same_for(Request::get(path).header("Accept-Encoding", "gzip"));
        }
        pair.agree();
    }
}
