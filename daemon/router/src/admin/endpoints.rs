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
    DescribeStart,
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

/// All endpoints by method and path; `{id}` matches any name without a `/`. docs/TOOLS.md and docs/openapi.json list the
/// same ones.
const TABLE: [(&str, &str, Endpoint); 19] = [
    ("GET", "/", Endpoint::StatusPage),
    ("GET", "/status.json", Endpoint::StatusData),
    ("GET", "/ping.json", Endpoint::Ping),
    ("GET", "/healthz", Endpoint::Health),
    ("GET", "/info.json", Endpoint::Info),
    ("GET", "/pool.txt", Endpoint::PoolText),
    ("GET", "/pool.json", Endpoint::PoolJson),
    ("GET", "/pool.xml", Endpoint::PoolXml),
    ("GET", "/requests.json", Endpoint::Requests),
    ("GET", "/metrics", Endpoint::Metrics),
    ("GET", "/spawn_errors/{id}.json", Endpoint::SpawnError),
    ("POST", "/pool/restart_app_group.json", Endpoint::Restart),
    ("POST", "/pool/await_restart.json", Endpoint::AwaitRestart),
    ("POST", "/pool/detach_process.json", Endpoint::Detach),
    ("POST", "/pool/ask_process.json", Endpoint::Ask),
    ("POST", "/pool/describe_start.json", Endpoint::DescribeStart),
    ("POST", "/pool/set_mode.json", Endpoint::SetAppMode),
    ("POST", "/pool/forget_app.json", Endpoint::Forget),
    ("POST", "/reopen_logs.json", Endpoint::ReopenLogs),
];

/// The result of looking up a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup<'p> {
    /// The endpoint, with the path's `{id}`.
    Found(Endpoint, &'p str),
    /// The path accepts only this method.
    OtherMethod(&'static str),
    /// The path does not exist.
    NotFound,
}

/// Finds the endpoint of a request.
pub(super) fn find<'p>(method: &str, path: &'p str) -> Lookup<'p> {
    match TABLE.iter().find_map(|(method, pattern, endpoint)| Some((*method, *endpoint, id(pattern, path)?)))
    {
        Some((allowed, endpoint, id)) if allowed == method => Lookup::Found(endpoint, id),
        Some((allowed, ..)) => Lookup::OtherMethod(allowed),
        None => Lookup::NotFound,
    }
}

/// Returns the value of `{id}`, empty when the pattern has none; `None` when the path does not match.
fn id<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some("");
    };
    path.strip_prefix(before)?.strip_suffix(after).filter(|id| !id.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_contain_an_id() {
        let found = find("GET", "/spawn_errors/0badcafe.json");
        assert_eq!(found, Lookup::Found(Endpoint::SpawnError, "0badcafe"));
        assert_eq!(find("GET", "/spawn_errors/a/b.json"), Lookup::NotFound);
        assert_eq!(find("POST", "/pool.json"), Lookup::OtherMethod("GET"));
        assert_eq!(find("GET", "/"), Lookup::Found(Endpoint::StatusPage, ""));
        assert_eq!(find("GET", "/pool"), Lookup::NotFound);
    }

    fn docs(name: &str) -> String {
        std::fs::read_to_string(format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn endpoints() -> Vec<String> {
        let mut all: Vec<_> = TABLE.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        all.sort();
        all
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
        let mut listed: Vec<_> = paths.flat_map(methods).collect();
        listed.sort();
        assert_eq!(listed, endpoints());
    }

    #[test]
    fn the_tools_page_lists_every_path() {
        let page = docs("TOOLS.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let lines = rows.filter(|row| row.starts_with("GET /") || row.starts_with("POST /"));
        let mut listed: Vec<_> = lines.map(|row| row.split('`').next().unwrap().to_owned()).collect();
        listed.sort();
        assert_eq!(listed, endpoints());
    }
}
