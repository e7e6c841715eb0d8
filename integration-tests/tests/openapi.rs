//! Compares docs/openapi.json with the daemon: every response matches it, without undocumented fields.

use serde_json::{Value, json};
use test_support::{Connection, Daemon, Language, OneApp, Request, TestDir, eventually, workspace};

/// The document, and the daemon that is held against it.
struct Contract<'a> {
    document: Value,
    daemon: &'a Daemon,
}

impl<'a> Contract<'a> {
    fn of(daemon: &'a Daemon) -> Self {
        let text = std::fs::read_to_string(workspace().join("docs/openapi.json")).unwrap();
        Self { document: serde_json::from_str(&text).unwrap(), daemon }
    }

    /// Sends a request that the document knows; the answer, which is as the document says.
    #[track_caller]
    fn keeps(&self, method: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        let (template, _) = path.split_once('?').unwrap_or((path, ""));
        let template =
            if template.starts_with("/spawn_errors/") { "/spawn_errors/{id}.json" } else { template };
        let operation = &self.document["paths"][template][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {template} is not in the document");
        if let Some(body) = &body {
            self.conforms(&operation["requestBody"]["content"]["application/json"]["schema"], body, "body");
        }
        let (is, text) = self.call(method, path, body);
        assert_eq!(is, status, "{method} {path}: {text}");
        let response = self.resolved(&operation["responses"][status.to_string()]);
        assert!(response.is_object(), "{method} {path}: status {status} is not in the document");
        let Some(schema) = response["content"]["application/json"].get("schema") else {
            return Value::String(text);
        };
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
        self.conforms(schema, &answer, path);
        answer
    }

    fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let arguments =
            ["api-call", method, path, "--show-headers", "--ignore-response-code", "--data", &body];
        let arguments = if method == "GET" { &arguments[..5] } else { &arguments[..] };
        let output = self.daemon.tool("passenger-config", arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap_or_else(|| panic!("{text}"));
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        (status, body.to_owned())
    }

    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).expect(reference),
            None => value,
        }
    }

    /// As JSON Schema has it, but that no property may come that is not named.
    #[track_caller]
    fn conforms(&self, schema: &Value, value: &Value, at: &str) {
        let schema = self.resolved(schema);
        assert!(schema.is_object(), "{at}: there is no schema");
        let types = match &schema["type"] {
            Value::Array(all) => all.clone(),
            Value::Null => return,
            one => vec![one.clone()],
        };
        assert!(types.contains(&json!(type_of(value))), "{at}: {value} is none of {types:?}");
        if let Some(all) = schema["enum"].as_array() {
            assert!(all.contains(value), "{at}: {value} is none of {all:?}");
        }
        for (number, item) in value.as_array().into_iter().flatten().enumerate() {
            if let Some(items) = schema.get("items") {
                self.conforms(items, item, &format!("{at}[{number}]"));
            }
        }
        for required in value.as_object().and(schema["required"].as_array()).into_iter().flatten() {
            assert!(
                value.get(required.as_str().unwrap()).is_some(),
                "{at}: {required} is missing in {value}"
            );
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            let known = schema["properties"].get(name).or(schema.get("additionalProperties"));
            let known = known.unwrap_or_else(|| panic!("{at}: {name} is not in the document"));
            self.conforms(known, inner, &format!("{at}.{name}"));
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn ask(setup: &OneApp, path: &str) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(Request::get(path).bytes("close"));
    client
}

#[test]
fn responses_match_the_openapi_document() {
    let setup = OneApp::of(Language::Ruby);
    setup.app_pid();
    let mut busy = ask(&setup, "/wait?name=gate");
    eventually("it is working", || setup.daemon.status().contains("Sessions: 1 "));
    let contract = Contract::of(&setup.daemon);
    for path in ["/", "/ping.json", "/healthz", "/info.json", "/pool.txt", "/pool.xml", "/metrics"] {
        contract.keeps("GET", path, None, 200);
    }
    let pool = contract.keeps("GET", "/pool.json", None, 200);
    assert!(pool["groups"][0]["processes"][0].is_object() && pool["options"][0].is_object());
    let status = contract.keeps("GET", "/status.json", None, 200);
    assert!(status["apps"][0]["processes"][0].is_object());
    assert_eq!(status["requests"]["waiting"]["oldest"][0]["phase"], "app");
    let requests = contract.keeps("GET", "/requests.json", None, 200);
    assert_eq!(requests["requests"][0]["phase"], "app");
    contract.keeps("GET", "/spawn_errors/0badcafe.json", None, 404);
    setup.test_dir.open_gate("gate");
    busy.read_response().expect(200);
}

#[test]
fn requests_match_the_openapi_document() {
    let setup = OneApp::of(Language::Python);
    let pid = setup.app_pid();
    let name = format!("{} (production)", setup.app.dir().display());
    let contract = Contract::of(&setup.daemon);
    let post = |path: &str, body: Value, status: u16| contract.keeps("POST", path, Some(body), status);
    let question = json!({ "pid": pid, "method": "GET", "uri": "/pid", "headers": [["Host", "a"]] });
    assert_eq!(post("/pool/ask_process.json", question, 200)["status"], 200);
    let body = json!({ "pid": 1, "method": "GET", "uri": "/", "headers": [] });
    post("/pool/ask_process.json", body, 404);
    let body = json!({ "pid": pid, "method": "G T", "uri": "/", "headers": [] });
    post("/pool/ask_process.json", body, 422);
    post("/pool/set_mode.json", json!({ "name": name, "mode": "paused" }), 200);
    let body = json!({ "name": name, "mode": "maintenance", "page": "x".repeat(70_000), "retry_after": 9 });
    post("/pool/set_mode.json", body, 413);
    post("/pool/set_mode.json", json!({ "name": name, "mode": "open" }), 200);
    post("/pool/set_mode.json", json!({ "name": "none", "mode": "open" }), 404);
    post("/pool/detach_process.json", json!({ "pid": pid }), 200);
    post("/pool/detach_process.json", json!({ "pid": 1 }), 404);
    setup.app_pid();
    let order = json!({ "name": name, "restart_method": "rolling" });
    let restarted = post("/pool/restart_app_group.json", order, 200);
    let order = json!({ "name": name, "version": restarted["version"], "seconds": 20 });
    assert_eq!(post("/pool/await_restart.json", order, 200)["outcome"], "done");
    post("/pool/restart_app_group.json", json!({ "name": "none" }), 404);
    post("/pool/forget_app.json", json!({ "name": name }), 200);
    post("/pool/forget_app.json", json!({ "name": "none" }), 404);
    contract.keeps("POST", "/reopen_logs.json", None, 200);
}

#[test]
fn invalid_bodies_are_refused_as_documented() {
    let daemon = TestDir::new().daemon().start();
    let contract = Contract::of(&daemon);
    let orders = contract.document["paths"].as_object().unwrap();
    let orders: Vec<_> = orders.iter().filter(|(_, item)| item["post"]["requestBody"].is_object()).collect();
    assert!(orders.len() > 5);
    for (path, item) in orders {
        for body in [json!({}), json!([]), json!({ "name": 1, "pid": "x" }), json!({ "unknown": true })] {
            let (status, text) = contract.call("POST", path, Some(body));
            assert_eq!(status, 422, "{path}: {text}");
            let answer: Value = serde_json::from_str(&text).unwrap();
            let response = contract.resolved(&item["post"]["responses"]["422"]);
            contract.conforms(&response["content"]["application/json"]["schema"], &answer, path);
        }
        assert_eq!(contract.call("GET", path, None).0, 405, "{path}");
    }
}

#[test]
fn the_report_of_a_failed_start_matches_the_document() {
    let setup = OneApp::app("passenger_spawn_method direct;", |app| app.ruby("raise 'broken'"));
    let page = setup.nginx.get("/").expect(500).text();
    let id = page.split("<code>").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned();
    let report = Contract::of(&setup.daemon).keeps("GET", &format!("/spawn_errors/{id}.json"), None, 200);
    assert!(report["details"].as_str().unwrap().contains("broken"));
}
