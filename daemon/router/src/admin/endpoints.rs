//! The endpoints of the admin API, by method and path.

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    StatusPage,
    StatusData,
    Ping,
    Health,
    Info,
    PoolText,
    PoolJson,
    PoolXml,
    Requests,
    Metrics,
    SpawnError,
    Restart,
    AwaitRestart,
    Detach,
    Ask,
    SetAppMode,
    Forget,
    ReopenLogs,
}

impl Endpoint {
    /// Whether the response contains the resource usage of processes.
    pub(super) fn shows_processes(self) -> bool {
        use Endpoint::{Metrics, PoolJson, PoolText, PoolXml, StatusData, StatusPage};
        matches!(self, PoolText | PoolJson | PoolXml | Metrics | StatusPage | StatusData)
    }
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Line {
    method: &'static str,
    /// `{id}` matches any name without a `/`.
    path: &'static str,
    endpoint: Endpoint,
}

/// All endpoints. docs/TOOLS.md and docs/openapi.json list the same ones.
pub(super) const TABLE: [Line; 18] = [
    get("/", Endpoint::StatusPage),
    get("/status.json", Endpoint::StatusData),
    get("/ping.json", Endpoint::Ping),
    get("/healthz", Endpoint::Health),
    get("/info.json", Endpoint::Info),
    get("/pool.txt", Endpoint::PoolText),
    get("/pool.json", Endpoint::PoolJson),
    get("/pool.xml", Endpoint::PoolXml),
    get("/requests.json", Endpoint::Requests),
    get("/metrics", Endpoint::Metrics),
    get("/spawn_errors/{id}.json", Endpoint::SpawnError),
    post("/pool/restart_app_group.json", Endpoint::Restart),
    post("/pool/await_restart.json", Endpoint::AwaitRestart),
    post("/pool/detach_process.json", Endpoint::Detach),
    post("/pool/ask_process.json", Endpoint::Ask),
    post("/pool/set_mode.json", Endpoint::SetAppMode),
    post("/pool/forget_app.json", Endpoint::Forget),
    post("/reopen_logs.json", Endpoint::ReopenLogs),
];

const fn get(path: &'static str, endpoint: Endpoint) -> Line {
    Line { method: "GET", path, endpoint }
}

const fn post(path: &'static str, endpoint: Endpoint) -> Line {
    Line { method: "POST", path, endpoint }
}

/// The result of looking up a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant<'p> {
    /// The endpoint, with the path's `{id}`.
    Endpoint(Endpoint, &'p str),
    /// The path accepts only this method.
    OtherMethod(&'static str),
    /// The path does not exist.
    Nothing,
}

/// Finds the endpoint of a request.
pub(super) fn find<'p>(method: &str, path: &'p str) -> Meant<'p> {
    match TABLE.iter().find_map(|line| line.id(path).map(|id| (line, id))) {
        Some((line, id)) if line.method == method => Meant::Endpoint(line.endpoint, id),
        Some((line, _)) => Meant::OtherMethod(line.method),
        None => Meant::Nothing,
    }
}

impl Line {
    /// Returns the value of `{id}`, empty when the row has none; `None` when the path does not match.
    fn id<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.path.split_once("{id}") {
            None => (self.path == path).then_some(""),
            Some((before, after)) => {
                let id = path.strip_prefix(before)?.strip_suffix(after)?;
                (!id.contains('/')).then_some(id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_contain_an_id() {
        let meant = find("GET", "/spawn_errors/0badcafe.json");
        assert_eq!(meant, Meant::Endpoint(Endpoint::SpawnError, "0badcafe"));
        assert_eq!(find("GET", "/spawn_errors/a/b.json"), Meant::Nothing);
        assert_eq!(find("POST", "/pool.json"), Meant::OtherMethod("GET"));
        assert_eq!(find("GET", "/"), Meant::Endpoint(Endpoint::StatusPage, ""));
        assert_eq!(find("GET", "/pool"), Meant::Nothing);
    }

    fn docs(name: &str) -> String {
        std::fs::read_to_string(format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn taken() -> Vec<String> {
        let mut taken: Vec<_> = TABLE.iter().map(|line| format!("{} {}", line.method, line.path)).collect();
        taken.sort();
        taken
    }

    #[test]
    fn the_openapi_document_lists_every_path() {
        let document: serde_json::Value = serde_json::from_str(&docs("openapi.json")).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let paths = document["paths"].as_object().unwrap().iter();
        let methods = |(path, item): (&String, &serde_json::Value)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        };
        let mut told: Vec<_> = paths.flat_map(methods).collect();
        told.sort();
        assert_eq!(told, taken());
    }

    #[test]
    fn the_tools_page_lists_every_path() {
        let page = docs("TOOLS.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let lines = rows.filter(|row| row.starts_with("GET /") || row.starts_with("POST /"));
        let mut told: Vec<_> = lines.map(|row| row.split('`').next().unwrap().to_owned()).collect();
        told.sort();
        assert_eq!(told, taken());
    }
}
