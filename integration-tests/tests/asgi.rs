//! ASGI apps: concurrent requests in one process, WebSockets, lifespan; FastAPI and Django.

use std::process::Command;
use std::thread;

use test_support::{App, Connection, OneApp, Request, eventually, require_debian_package, run};

const LINES: &str = "passenger_python /usr/bin/python3; passenger_max_instances 1;";

/// `/meet` answers when so many requests are inside at a time.
const FASTAPI: &str = r#"
import asyncio, hashlib, os
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

application = FastAPI()
inside = 0

def sign(name, text=""):
    with open(os.environ["SCRATCH"] + "/" + name, "w") as file:
        file.write(text)

@application.on_event("startup")
async def startup():
    application.state.fruit = "pear"

@application.on_event("shutdown")
async def shutdown():
    sign("shutdown", str(os.getpid()))

@application.get("/")
async def hello(request: Request):
    return {"hello": "fastapi", "fruit": application.state.fruit, "url": str(request.url), "client": request.client.host}

@application.get("/pid")
def pid():
    return os.getpid()

@application.get("/items/{item}")
async def item(item: int, q: str = ""):
    return {"item": item, "q": q}

@application.get("/meet")
async def meet(number: int):
    global inside
    inside += 1
    while inside < number:
        await asyncio.sleep(0.005)
    return os.getpid()

@application.post("/hash")
async def upload(request: Request):
    digest, length = hashlib.sha256(), 0
    async for part in request.stream():
        digest.update(part)
        length += len(part)
    return {"sha256": digest.hexdigest(), "length": length}

@application.get("/stream")
async def stream():
    async def parts():
        for number in range(5):
            yield str(number)
            await asyncio.sleep(0)
    return StreamingResponse(parts(), media_type="text/plain")

# Python closes a generator that nobody asks for more when it likes; the answer ends when it ends.
class Endless(StreamingResponse):
    async def __call__(self, scope, receive, send):
        try:
            await super().__call__(scope, receive, send)
        finally:
            sign("endless.gone")

@application.get("/endless")
async def endless():
    async def parts():
        sign("endless.arrived")
        while True:
            yield "x" * 1000
            await asyncio.sleep(0.001)
    return Endless(parts())

@application.get("/fail")
async def fail():
    raise RuntimeError("out of cheese")

@application.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text("you said " + await socket.receive_text())
    except WebSocketDisconnect as gone:
        sign("websocket.closed", str(gone.code))
"#;

fn fastapi(lines: &str) -> OneApp {
    require_debian_package("python3-fastapi", "/usr/share/doc/python3-fastapi");
    let lines = format!("{LINES} passenger_env_var SCRATCH %%DIR%%/scratch; {lines}");
    OneApp::app(&lines, |app| app.python(FASTAPI))
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A client's short text, with a mask of zeros.
fn text(words: &str) -> Vec<u8> {
    [&[0x81, 0x80 | words.len() as u8, 0, 0, 0, 0], words.as_bytes()].concat()
}

fn chat(setup: &OneApp) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(UPGRADE);
    let head = client.read_head();
    assert_eq!(head.status, 101);
    assert_eq!(head.all("sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    client
}

fn says(client: &mut Connection, words: &str) {
    client.send(text(words));
    let answer = format!("you said {words}");
    assert_eq!(client.read_exact(2 + answer.len())[2..], *answer.as_bytes());
}

/// So many requests that wait for each other; the PIDs that answered.
fn meet(setup: &OneApp, number: usize) -> Vec<String> {
    let port = setup.nginx.port();
    let path = format!("/meet?number={number}");
    let ask = || Request::get(&path).send_to(port).expect(200).text();
    thread::scope(|scope| {
        let all: Vec<_> = (0..number).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn fastapi_answers() {
    let setup = fastapi("");
    let hello = setup.nginx.send(Request::get("/?a=b").header("Host", "shop.test:81")).expect(200).json();
    assert_eq!((hello["hello"].as_str(), hello["fruit"].as_str()), (Some("fastapi"), Some("pear")));
    assert_eq!(
        (hello["url"].as_str(), hello["client"].as_str()),
        (Some("http://shop.test:81/?a=b"), Some("127.0.0.1"))
    );
    assert_eq!(setup.nginx.get("/items/7?q=x").expect(200).json()["q"], "x");
    assert_eq!(setup.nginx.get("/items/none").status(), 422);
    assert_eq!(setup.nginx.get("/stream").expect(200).text(), "01234");
    assert_eq!(setup.nginx.send(Request::new("HEAD", "/pid")).status(), 405, "as FastAPI has it");
    let failed = setup.nginx.get("/fail");
    assert_eq!((failed.status(), failed.text().as_str()), (500, "Internal Server Error"));
    setup.daemon.logs_eventually("RuntimeError: out of cheese");
}

#[test]
fn an_upload_streams_in() {
    let setup = fastapi("passenger_request_buffering off;");
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let answer = setup.nginx.send(Request::post("/hash", body)).expect(200).json();
    assert_eq!(answer["length"], 3_000_000);
}

#[test]
fn one_process_serves_fifty_concurrent_requests() {
    let setup = fastapi("");
    let pid = setup.app_pid().to_string();
    assert!(meet(&setup, 50).iter().all(|answered| *answered == pid));
    assert_eq!(setup.daemon.app_pids().len(), 1);
}

#[test]
fn a_new_router_keeps_the_concurrency_of_a_process() {
    let setup = fastapi("");
    let pid = setup.app_pid();
    setup.daemon.kill_router();
    assert_eq!(meet(&setup, 5), vec![pid.to_string(); 5]);
}

#[test]
fn the_concurrency_can_be_configured() {
    let setup =
        fastapi("passenger_force_max_concurrent_requests_per_process 2; passenger_max_request_queue_size 1;");
    setup.app_pid();
    let port = setup.nginx.port();
    let ask = |path: &'static str| thread::spawn(move || Request::get(path).send_to(port).status());
    let inside = [ask("/meet?number=3"), ask("/meet?number=3")];
    let two_are_inside = || setup.daemon.status().matches("Sessions: 2").count() == 1;
    eventually("two requests are in the app", two_are_inside);
    let waits = ask("/pid");
    eventually("one request waits", || setup.daemon.status().contains("Requests in queue: 1"));
    assert_eq!(setup.nginx.get("/pid").status(), 503);
    test_support::kill_9(setup.daemon.app_pids()[0]);
    assert_eq!(inside.map(|one| one.join().unwrap()), [502, 502], "they were in the killed process");
    assert_eq!(waits.join().unwrap(), 200);
}

#[test]
fn a_websocket_runs_beside_requests_and_ends_with_a_restart() {
    let setup = fastapi("passenger_rolling_restarts on;");
    let pid = setup.app_pid();
    let mut client = chat(&setup);
    for turn in 0..20 {
        says(&mut client, &format!("message {turn}"));
        assert_eq!(setup.app_pid(), pid);
    }
    let restarted = setup.daemon.tool("passenger-config", &["restart-app", "/", "--wait"]);
    assert!(restarted.status.success(), "{restarted:?}");
    let goodbye = client.read_to_end();
    assert_eq!(goodbye, [0x88, 2, 0x03, 0xE9], "going away");
    eventually("the app is notified", || setup.test_dir.scratch("websocket.closed").exists());
    eventually("its lifespan has ended", || {
        std::fs::read_to_string(setup.test_dir.scratch("shutdown")).is_ok_and(|text| text == pid.to_string())
    });
    says(&mut chat(&setup), "again");
    assert_ne!(setup.app_pid(), pid);
}

#[test]
fn an_app_stops_when_its_client_has_gone() {
    let setup = fastapi("");
    let mut client = setup.nginx.connect();
    client.send(Request::get("/endless").bytes("close"));
    client.read_exact(20_000);
    drop(client);
    eventually("the app has stopped", || setup.test_dir.scratch("endless.gone").exists());
}

#[test]
fn asgi_processes_are_forked_when_configured() {
    let setup = fastapi("passenger_spawn_method smart;");
    let pid = setup.app_pid().to_string();
    let status = setup.daemon.tool("passenger-status", &["--show=json"]);
    assert!(
        String::from_utf8_lossy(&status.stdout).replace(' ', "").contains("\"preloader\":"),
        "{status:?}"
    );
    assert_eq!(meet(&setup, 10), vec![pid; 10]);
    says(&mut chat(&setup), "forked");
}

#[test]
fn django_runs_by_its_asgi_handler() {
    require_debian_package("python3-django", "/usr/share/doc/python3-django");
    let generated = |app: App| {
        let manage = |args: &[&str]| run(Command::new("/usr/bin/python3").args(args).current_dir(app.dir()));
        manage(&["-m", "django", "startproject", "shop", "."]);
        let settings = std::fs::read_to_string(app.path("shop/settings.py")).unwrap();
        app.write("shop/settings.py", settings + "\nDEBUG = False\nALLOWED_HOSTS = ['*']\n");
        let views = "
import asyncio, os
from django.http import HttpResponse
from django.urls import path
inside = 0
async def meet(request):
    global inside
    inside += 1
    while inside < int(request.GET['number']):
        await asyncio.sleep(0.005)
    return HttpResponse(str(os.getpid()))
def pid(request):
    return HttpResponse(str(os.getpid()))
urlpatterns = [path('meet', meet), path('pid', pid)]
";
        app.write("shop/urls.py", views);
        app.python("from shop.asgi import application\n")
    };
    let setup = OneApp::app(LINES, generated);
    let pid = setup.app_pid().to_string();
    assert_eq!(meet(&setup, 10), vec![pid; 10]);
    assert_eq!(setup.nginx.get("/none").status(), 404);
}

#[test]
fn the_http_version_is_that_of_the_client() {
    let asgi = r#"
async def application(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["http_version"].encode()})
"#;
    let wsgi = r#"
def application(environ, start_response):
    start_response("200 OK", [])
    return [environ["SERVER_PROTOCOL"].removeprefix("HTTP/").removesuffix(".0" if "/2" in environ["SERVER_PROTOCOL"] else "-").encode()]
"#;
    for python in [asgi, wsgi] {
        let setup = OneApp::app(LINES, |app| app.python(python));
        let conf = test_support::ONE_APP_CONF.replace("127.0.0.1:%%PORT%%", "127.0.0.1:%%PORT%% http2");
        let http2 = setup.test_dir.nginx(&conf.replace("%%APP%%", LINES)).start();
        let asked = |version: &str, port: u16| {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--max-time", "30", version]);
            run(curl.arg(format!("http://127.0.0.1:{port}/")))
        };
        assert_eq!(asked("--http1.0", setup.nginx.port()), "1.0");
        assert_eq!(asked("--http1.1", setup.nginx.port()), "1.1");
        assert_eq!(asked("--http2-prior-knowledge", http2.port()), "2");
    }
}
