//! The three ways to the recorder, and the comparison of what it receives from each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use test_support::{Connection, Daemon, Gate, Nginx, Request, TestDir, eventually, workspace};

/// What the recorder has received.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Received {
    line: String,
    headers: Vec<String>,
    body: String,
    /// Whether the body came to its end. The gate forwards a body as it arrives, so a request whose body turns out to be
    /// malformed is cut short at the application, which discards it.
    complete: bool,
}

/// One way to the recorder.
pub(super) struct Side {
    name: &'static str,
    pub(super) http1_port: u16,
    pub(super) http2_port: u16,
    record: PathBuf,
    /// How much of the record was compared.
    compared: usize,
}

/// Headers that a proxy writes itself, whatever the client sends.
const OWN: [&str; 9] = [
    "connection",
    "host",
    "content-length",
    "transfer-encoding",
    "x-request-id",
    "x-request-start",
    "x-plain-host",
    "x-forwarded-for",
    "x-forwarded-proto",
];

impl Received {
    fn parse(line: &str) -> Self {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let headers = json["headers"].as_array().unwrap().iter().map(text).collect();
        Self {
            line: text(&json["line"]),
            headers,
            body: text(&json["body"]),
            complete: json["complete"] == true,
        }
    }

    fn method_and_target(&self) -> &str {
        self.line.rsplit_once(' ').map_or(&self.line, |(before, _)| before)
    }

    /// Returns the value of the header that a proxy writes.
    fn own(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter_map(|line| line.split_once(':'));
        same.filter(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// Returns the client's headers, in lower case and in order of their names.
    fn of_client(&self) -> Vec<(String, String)> {
        let pairs = self.headers.iter().map(|line| line.split_once(':').unwrap_or((line, "")));
        let pairs = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        let mut pairs: Vec<_> = pairs.filter(|(name, _)| !OWN.contains(&name.as_str())).collect();
        // Several lines of a cookie are equivalent to one.
        let cookies: Vec<_> =
            pairs.extract_if(.., |(name, _)| name == "cookie").map(|(_, value)| value).collect();
        if !cookies.is_empty() {
            pairs.push(("cookie".to_owned(), cookies.join("; ")));
        }
        pairs.sort();
        pairs
    }

    /// Returns the addresses that the application takes for those of the client and of proxies.
    fn addresses(&self) -> String {
        self.own("x-forwarded-for").join(", ")
    }

    /// Why an application must not receive this, if nginx sends `plain`.
    fn exceeds(&self, plain: &Self) -> Option<String> {
        // A fragment is not part of a target; nginx passes it on.
        let targets = [plain.method_and_target(), without_fragment(plain.method_and_target())];
        if !targets.contains(&self.method_and_target()) {
            return Some("method or target differ".into());
        }
        if self.body != plain.body {
            return Some("the body differs".into());
        }
        let hosts = [plain.own("host"), plain.own("x-plain-host")].concat();
        let host = self.own("host");
        // The daemon speaks HTTP/1.1 to the application, which requires a host. nginx's $host has no port.
        let is_known = |host: &str| {
            hosts.iter().any(|known| host == *known || host.starts_with(&format!("{known}:")))
                || (plain.own("host").is_empty() && host == "localhost")
        };
        if host.len() > 1 || host.iter().any(|host| !is_known(host)) {
            return Some(format!("Host is {host:?}, and not one of {hosts:?}"));
        }
        // Addresses that a header `Connection` names are removed; the client's own one cannot be.
        if self.addresses().is_empty() || !plain.addresses().ends_with(&self.addresses()) {
            return Some(format!(
                "X-Forwarded-For is {:?}, and not {:?}",
                self.addresses(),
                plain.addresses()
            ));
        }
        let allowed = plain.of_client();
        let more: Vec<_> = self.of_client().into_iter().filter(|pair| !allowed.contains(pair)).collect();
        (!more.is_empty()).then(|| format!("nginx does not send {more:?}"))
    }
}

/// Returns a method and target without the fragment.
fn without_fragment(target: &str) -> &str {
    target.split('#').next().unwrap_or(target)
}

/// The recorder's own process, for nginx's `proxy_pass`.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// All three, and what differed.
pub(super) struct Sides {
    plain: Side,
    ours: Vec<Side>,
    differences: Vec<String>,
    // Dropped in this order.
    _nginx: Vec<Nginx>,
    _daemon: Daemon,
    _recorder: Recorder,
    _gate: Gate,
    _test_dir: TestDir,
}

const CONF: &str = r#"
    %%GLOBALS%%
    events { worker_connections 512; }
    http {
        %%HTTP%%
        %%FLY%%
        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
        proxy_set_header X-Plain-Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_request_buffering on;
        server {
            listen 127.0.0.1:%%PORT%%;
            listen 127.0.0.1:%%H2%% http2;
            root %%DIR%%/app/public;
            location / { %%TO%% }
        }
    }
"#;

impl Sides {
    /// Starts the recorder behind each.
    pub(super) fn start() -> Self {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").file("recorder.py", fs::read(recorder_source()).unwrap());
        let (h2_plain, h2_module, port) = (test_dir.port(), test_dir.port(), test_dir.port());
        let plain_record = test_dir.scratch("plain.jsonl");
        let recorder = Command::new("python3")
            .arg(recorder_source())
            .arg(&plain_record)
            .env("PORT", port.to_string())
            .spawn()
            .expect("python3 is there");
        let recorder = Recorder(recorder);
        eventually("the recorder listens", || Connection::try_to(port).is_ok());
        let daemon = test_dir.daemon().start();
        let conf = |h2: u16, fly: &str, to: &str| {
            CONF.replace("%%H2%%", &h2.to_string()).replace("%%FLY%%", fly).replace("%%TO%%", to)
        };
        let plain =
            test_dir.nginx(&conf(h2_plain, "", &format!("proxy_pass http://127.0.0.1:{port};"))).start();
        let module_record = test_dir.scratch("module.jsonl");
        let start = format!(
            "passenger_enabled on; passenger_app_start_command '/usr/bin/python3 {}/recorder.py {}';",
            app.dir().display(),
            module_record.display()
        );
        let module = test_dir.nginx(&conf(h2_module, "passenger_fly_with %%SOCKET%%;", &start)).start();
        let side = |name, nginx: &Nginx, http2_port, record: &Path| Side {
            name,
            http1_port: nginx.port(),
            http2_port,
            record: record.to_owned(),
            compared: 0,
        };
        let plain_side = side("proxy_pass", &plain, h2_plain, &plain_record);
        let gate_record = test_dir.scratch("gate.jsonl");
        let start = format!(
            "app_start_command = \"/usr/bin/python3 {}/recorder.py {}\"\napp_group_name = \"gate\"",
            app.dir().display(),
            gate_record.display()
        );
        let gate = test_dir.gate().app(app.dir(), &start).start();
        let port = gate.port();
        let gate_side =
            Side { name: "gate", http1_port: port, http2_port: port, record: gate_record, compared: 0 };
        let ours = vec![side("module", &module, h2_module, &module_record), gate_side];
        for each in &ours {
            Request::get("/ready").send_to(each.http1_port).expect(200);
        }
        Self {
            plain: plain_side,
            ours,
            differences: Vec::new(),
            _nginx: vec![plain, module],
            _daemon: daemon,
            _recorder: recorder,
            _gate: gate,
            _test_dir: test_dir,
        }
    }

    /// Sends the bytes to each, and notes what an application must not receive.
    ///
    /// `plain` is what nginx's `proxy_pass` is sent instead, where it refuses what others may accept.
    pub(super) fn compare(&mut self, name: &str, bytes: &[u8], plain: Option<&[u8]>, port: fn(&Side) -> u16) {
        let mut plain = self.plain.receive(plain.unwrap_or(bytes), port);
        plain.retain(|each| each.complete);
        for side in &mut self.ours {
            let mut received = side.receive(bytes, port);
            received.retain(|each| each.complete);
            let why = match (&received[..], &plain[..]) {
                (ours, plain) if ours.len() > plain.len() => Some("there are more requests".to_owned()),
                (ours, plain) => ours.iter().zip(plain).find_map(|(ours, plain)| ours.exceeds(plain)),
            };
            if let Some(why) = why {
                let sent = bytes[..bytes.len().min(300)].escape_ascii();
                let line = format!(
                    "{name} by {}: {why}\n  sent {sent}\n  {received:?}\n  plain {plain:?}",
                    side.name
                );
                self.differences.push(line);
            }
        }
    }

    /// Fails with every difference, and if a request arrived later than its answer.
    pub(super) fn agree(mut self) {
        for side in self.ours.iter_mut().chain([&mut self.plain]) {
            let late: Vec<_> = side.new_records().into_iter().filter(|each| each.complete).collect();
            assert!(late.is_empty(), "{} has forwarded more: {late:?}", side.name);
        }
        assert!(
            self.differences.is_empty(),
            "{} differences:\n{}",
            self.differences.len(),
            self.differences.join("\n")
        );
    }
}

/// After this much silence, the server waits for more.
const SILENCE: Duration = Duration::from_secs(1);

/// Reads frames until the stream or the connection has ended.
fn read_http2(client: &mut Connection) {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    const END_STREAM: u8 = 1;
    while let Some(head) = client.read_exact_within(9, SILENCE) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let payload = client.read_exact_within(length, SILENCE);
        let ends_stream = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        if payload.is_none() || ends_stream || matches!(kind, RST_STREAM | GOAWAY) {
            return;
        }
    }
}

fn recorder_source() -> PathBuf {
    workspace().join("integration-tests/apps/recorder.py")
}

impl Side {
    /// Sends the bytes, waits for the end of the connection, and returns what the recorder has received.
    fn receive(&mut self, bytes: &[u8], port: fn(&Side) -> u16) -> Vec<Received> {
        let mut client = Connection::to(port(self));
        let _refused_early = client.try_send(bytes);
        if bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
            read_http2(&mut client);
        } else {
            // The case asks for the end of the connection, unless the server waits for more.
            while client.read_exact_within(1, SILENCE).is_some() {}
        }
        self.new_records()
    }

    fn new_records(&mut self) -> Vec<Received> {
        let text = fs::read_to_string(&self.record).unwrap_or_default();
        let lines: Vec<&str> = text.lines().skip(self.compared).collect();
        self.compared += lines.len();
        lines.iter().map(|line| Received::parse(line)).collect()
    }
}
