//! A simple browser: sends pages' forms with cookies and anti-forgery tokens.

use std::collections::BTreeMap;
use std::io;

use crate::http::{Connection, Request};
use crate::response::Response;

/// Number of tries for a page that may take longer than the timeout of a connection.
const TRIES: usize = 6;

/// Maximum number of redirections that are followed.
const REDIRECTIONS: usize = 3;

/// The boundary between the parts of a form with files.
const BOUNDARY: &str = "------the-parts-of-a-form";

/// A client with cookies.
pub struct Browser {
    port: u16,
    cookies: BTreeMap<String, String>,
}

/// A completed form. Sent as multipart with files, URL-encoded without.
pub struct Form {
    fields: Vec<(String, String)>,
    files: Vec<(String, String, Vec<u8>)>,
}

impl Browser {
    /// Creates a browser without cookies.
    pub fn at(port: u16) -> Self {
        Self { port, cookies: BTreeMap::new() }
    }

    /// Waits for the first page of an app that may take minutes to load.
    #[track_caller]
    pub fn opens(&mut self, path: &str) -> Response {
        let request = self.with_cookies(Request::get(path));
        let answers = |_| answer(self.port, &request).ok();
        let response = (0..TRIES).find_map(answers).expect("the app answers at last");
        self.keep_cookies(&response);
        response.expect(200)
    }

    /// Requests a page.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.send(Request::get(path))
    }

    /// Sends any request with the cookies, and keeps those of the response.
    #[track_caller]
    pub fn send(&mut self, request: Request) -> Response {
        let response = self.with_cookies(request).send_to(self.port);
        self.keep_cookies(&response);
        response
    }

    /// Sends a form, and requests the page to which it redirects.
    #[track_caller]
    pub fn submits(&mut self, path: &str, form: &Form) -> Response {
        let mut response = self.send(form.request(path)).expect(302);
        for _ in 0..REDIRECTIONS {
            let Some(next) = response.header("Location") else { break };
            let path = next.split_once("://").map_or(next, |(_, rest)| &rest[rest.find('/').unwrap_or(0)..]);
            response = self.get(path);
        }
        response.expect(200)
    }

    /// Adds this browser's cookies to a request.
    pub fn with_cookies(&self, request: Request) -> Request {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { request } else { request.header("Cookie", &pairs.join("; ")) }
    }

    fn keep_cookies(&mut self, response: &Response) {
        for cookie in response.head.all("Set-Cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie has a name and a value");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Form {
    /// The form of a page, with its hidden field `hidden`.
    #[track_caller]
    pub fn on(page: &Response, hidden: &str) -> Self {
        let text = page.text();
        let inputs = text.split("<input").skip(1).filter_map(|rest| rest.split('>').next());
        let mut named = inputs.filter(|input| attribute(input, "name") == Some(hidden));
        let value = named.next().and_then(|input| attribute(input, "value"));
        let value = value.unwrap_or_else(|| panic!("no field {hidden} in {text}"));
        Self { fields: Vec::new(), files: Vec::new() }.with(hidden, value)
    }

    /// Fills in a field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a file.
    pub fn with_file(mut self, name: &str, file: &str, content: &[u8]) -> Self {
        self.files.push((name.to_owned(), file.to_owned(), content.to_owned()));
        self
    }

    fn request(&self, path: &str) -> Request {
        let (kind, body) = if self.files.is_empty() {
            ("application/x-www-form-urlencoded".to_owned(), self.encoded().into_bytes())
        } else {
            (format!("multipart/form-data; boundary={BOUNDARY}"), self.in_parts())
        };
        Request::post(path, body).header("Content-Type", &kind)
    }

    fn encoded(&self) -> String {
        let pairs = self.fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    fn in_parts(&self) -> Vec<u8> {
        let part = |described: &str, content: &[u8]| {
            let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name={described}\r\n\r\n");
            [head.as_bytes(), content, b"\r\n"].concat()
        };
        let fields = self.fields.iter().map(|(name, value)| part(&format!("\"{name}\""), value.as_bytes()));
        let files = self.files.iter().map(|(name, file, content)| {
            let kind = "Content-Type: application/octet-stream";
            part(&format!("\"{name}\"; filename=\"{file}\"\r\n{kind}"), content)
        });
        let end = format!("--{BOUNDARY}--\r\n").into_bytes();
        fields.chain(files).chain([end]).flatten().collect()
    }
}

/// The value of an attribute with double quotes.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn answer(port: u16, request: &Request) -> io::Result<Response> {
    let mut connection = Connection::try_to(port)?;
    connection.try_send(&request.bytes("close"))?;
    connection.try_read_response("GET")
}
