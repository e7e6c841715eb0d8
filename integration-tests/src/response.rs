//! A parsed response, with the original bytes of its head.

/// Status line and headers.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Names as received, with values, in order.
    pub headers: Vec<(String, String)>,
    /// The exact bytes, up to and including the empty line.
    pub raw: Vec<u8>,
}

/// A head and a body.
#[derive(Debug, Clone)]
pub struct Response {
    /// The head.
    pub head: Head,
    /// The body, without chunk headers.
    pub body: Vec<u8>,
    /// False when the connection ended before the body did.
    pub complete: bool,
}

impl Head {
    pub(crate) fn parse(raw: Vec<u8>) -> Self {
        let text: String = raw.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
        let pairs = lines.take_while(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}"));
            (name.to_owned(), value.trim().to_owned())
        });
        Self { status, headers: pairs.collect(), raw }
    }

    /// The value of a header that occurs at most once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// Every value of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header("Content-Length").map(|value| value.parse().expect("a Content-Length is a number"))
    }
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The value of a header that occurs at most once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// Asserts the status, showing the whole response if it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "{}{}", String::from_utf8_lossy(&self.head.raw), self.text());
        assert!(self.complete, "the response is cut short: {}", self.text());
        self
    }
}
