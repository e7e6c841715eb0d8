//! The administrator's socket: HTTP/1.1 with JSON, one request a connection.
//!
//! Root and the daemon's own user see and do everything; an app's user sees and does what concerns that app. The
//! kernel says who is calling, so there is no password.

mod callers;
mod http;
mod metrics;
mod orders;
mod pool;
mod prometheus;
mod requests;
mod text;
mod xml;

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tracing::{debug, error};

use self::callers::{Callers, Place};
use self::http::{Answer, Asked};
use self::pool::Snapshot;
use self::requests::Requests;
use super::wiring::Router;

/// How long a caller may take over its request, and we over its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Root, or the user who started the daemon.
    Administrator,
    /// Somebody else: sees the apps that run as this user.
    User(u32),
}

/// Serves callers until the router ends.
pub(super) async fn run(router: Rc<Router>, listener: UnixListener) {
    let callers = Rc::new(Callers::default());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(&router, &callers, stream),
            Err(err) => {
                error!("a connection of a tool cannot be accepted: {err}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves the connection, unless its user has too many already: they cost descriptors that visitors need.
fn admit(router: &Rc<Router>, callers: &Rc<Callers>, stream: UnixStream) {
    let Ok(credentials) = stream.peer_cred() else {
        return;
    };
    match callers.admit(credentials.uid()) {
        Some(place) => drop(tokio::task::spawn_local(serve(router.clone(), stream, place))),
        None => debug!("user {} has too many connections of tools: one more is closed", credentials.uid()),
    }
}

async fn serve(router: Rc<Router>, mut stream: UnixStream, place: Place) {
    let caller = Caller::of(place.uid(), router.config.admin_uid);
    let served = tokio::time::timeout(PATIENCE, async {
        let answer = match http::read(&mut stream).await {
            Ok(asked) => answer(&router, caller, &asked).await,
            Err(refusal) => refusal,
        };
        http::write(&mut stream, &answer).await
    });
    if let Ok(Err(err)) = served.await {
        debug!("a tool went away: {err}");
    }
}

async fn answer(router: &Router, caller: Caller, asked: &Asked) -> Answer {
    if let Some(id) = spawn_error_id(&asked.path) {
        return orders::spawn_error(router, caller, id);
    }
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/ping.json") => Answer::json(200, &json!({ "status": "ok" })),
        ("GET", "/info.json") => info(router),
        ("GET", "/pool.txt") => {
            Answer::text(text::render(&Snapshot::take(router, caller), asked.flag("colorize")))
        }
        ("GET", "/pool.xml") => Answer::xml(xml::render(&Snapshot::take(router, caller))),
        ("GET", "/pool.json") => Answer::json(200, &Snapshot::take(router, caller)),
        ("GET", "/metrics") => metrics_page(router, caller),
        ("GET", "/healthz") if router.is_closing() => Answer::error(503, "the daemon is about to end"),
        ("GET", "/healthz") => Answer::json(200, &json!({ "status": "ok" })),
        ("GET", "/requests.json") => Answer::json(200, &Requests::take(router, caller)),
        ("POST", "/reopen_logs.json") => reopen_logs(router, caller),
        ("POST", "/pool/restart_app_group.json") => orders::restart(router, caller, &asked.body),
        ("POST", "/pool/await_restart.json") => orders::await_restart(router, caller, &asked.body).await,
        ("POST", "/pool/ask_process.json") => orders::ask(router, caller, &asked.body).await,
        ("POST", "/pool/detach_process.json") => orders::detach(router, caller, &asked.body),
        (_, path) if PATHS.contains(&path) => Answer::error(405, "this path does not take that method"),
        _ => Answer::error(404, "there is nothing at this path"),
    }
}

const PATHS: [&str; 13] = [
    "/metrics",
    "/healthz",
    "/pool.xml",
    "/requests.json",
    "/ping.json",
    "/info.json",
    "/pool.txt",
    "/pool.json",
    "/reopen_logs.json",
    "/pool/restart_app_group.json",
    "/pool/await_restart.json",
    "/pool/ask_process.json",
    "/pool/detach_process.json",
];

/// The ID in `/spawn_errors/ID.json`.
fn spawn_error_id(path: &str) -> Option<&str> {
    path.strip_prefix("/spawn_errors/")?.strip_suffix(".json")
}

fn metrics_page(router: &Router, caller: Caller) -> Answer {
    let snapshot = Snapshot::take(router, caller);
    let figures: Vec<_> = snapshot.ids.iter().map(|id| router.dispatcher.figures(*id)).collect();
    Answer::metrics(prometheus::render(&snapshot, &figures))
}

fn info(router: &Router) -> Answer {
    Answer::json(
        200,
        &json!({
            "program": "flying-passenger",
            "version": env!("CARGO_PKG_VERSION"),
            "instance": router.config.instance_name,
            "socket_file": router.config.socket_file,
            "router_generation": router.config.generation,
        }),
    )
}

fn reopen_logs(router: &Router, caller: Caller) -> Answer {
    if caller != Caller::Administrator {
        return Answer::error(403, "only root and the user who started the daemon may reopen its log");
    }
    if router.reopen_log() {
        Answer::json(200, &json!({ "status": "ok" }))
    } else {
        Answer::error(500, "the supervisor cannot be told")
    }
}

impl Caller {
    fn of(uid: u32, admin_uid: u32) -> Self {
        if uid == 0 || uid == admin_uid { Self::Administrator } else { Self::User(uid) }
    }

    fn owns(self, uid: u32) -> bool {
        match self {
            Self::Administrator => true,
            Self::User(caller) => caller == uid,
        }
    }

    /// True when every process of the group, of which there is at least one, runs as the caller.
    fn owns_group(self, router: &Router, group: super::pool::GroupId) -> bool {
        if self == Self::Administrator {
            return true;
        }
        router.dispatcher.inspect(|pool, workers| {
            let mut of_group =
                pool.group(group).members.iter().filter_map(|slot| workers.get(slot)).peekable();
            of_group.peek().is_some() && of_group.all(|worker| self.owns(worker.record.user.uid))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::PATHS;

    #[test]
    fn the_page_tells_of_every_path() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/TOOLS.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let rows =
            docs.lines().filter_map(|line| line.strip_prefix("| `GET /").or(line.strip_prefix("| `POST /")));
        let mut told: Vec<_> = rows.map(|row| format!("/{}", row.split('`').next().unwrap())).collect();
        let mut taken: Vec<_> =
            PATHS.map(str::to_owned).into_iter().chain(["/spawn_errors/ID.json".to_owned()]).collect();
        told.sort();
        taken.sort();
        assert_eq!(told, taken);
    }
}
