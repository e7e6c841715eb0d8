//! Ruby applications of Debian, unmodified and used through their real features.

use test_support::{Connection, OneApp, Request, eventually, is_root, require_debian_package};

const RAILS: &str = include_str!("gallery_ruby/rails.ru");

/// A path with a space, a letter beyond ASCII and a slash that is no separator.
const ODD_PATH: &str = "/echo/a%20b/%C3%A9/c%2Fd";

/// The same below another path.
const ODD_REST: &str = "/a%20b/%C3%A9/c%2Fd";

/// One process, which nothing joins.
fn only_process(fill: impl FnOnce(test_support::App) -> test_support::App) -> OneApp {
    let fill = |app| {
        let app: test_support::App = fill(app);
        if is_root() { app.owned_by("games") } else { app }
    };
    OneApp::custom("", |daemon| daemon.flag("--max-pool-size=1"), fill)
}

fn rails() -> OneApp {
    require_debian_package("ruby-activestorage", "/usr/share/doc/ruby-activestorage");
    require_debian_package("ruby-actioncable", "/usr/share/doc/ruby-actioncable");
    require_debian_package("ruby-sqlite3", "/usr/share/doc/ruby-sqlite3");
    only_process(|app| {
        let layout = "<title>gallery</title><%= yield %><footer>";
        let app = app.file("views/layouts/gallery.html.erb", layout);
        let app = app.file(
            "views/gallery/streamed.html.erb",
            "<p><%= 'streamed ' * 3 %></p><% if params[:path] %><p><%= params[:path] %></p><% end %>",
        );
        app.file("bytes.bin", "0123456789".repeat(50_000)).ruby(RAILS)
    })
}

#[test]
fn rails_answers_conditionally_and_sends_files_and_data() {
    let setup = rails();
    let fresh = setup.nginx.get("/conditional").expect(200);
    let etag = fresh.header("ETag").unwrap().to_owned();
    let again = setup.nginx.send(Request::get("/conditional").header("If-None-Match", &etag)).expect(304);
    assert_eq!((again.body.len(), again.header("Content-Length")), (0, None));
    let date = fresh.header("Last-Modified").unwrap();
    setup.nginx.send(Request::get("/conditional").header("If-Modified-Since", date)).expect(304);
    assert_eq!(setup.nginx.get("/file").expect(200).text(), "0123456789".repeat(50_000));
    assert!(setup.nginx.send(Request::new("HEAD", "/file")).expect(200).body.is_empty());
    let data = setup.nginx.get("/data").expect(200);
    assert_eq!(data.body, [0, 0xff].repeat(50_000));
    assert!(data.header("Content-Disposition").unwrap().contains("filename*=UTF-8''a%20b%20%C3%A9.bin"));
    let echo = setup.nginx.get(&format!("{ODD_PATH}?q=%C3%A9")).expect(200).json();
    assert_eq!(
        (echo["path"].as_str(), echo["uri"].as_str()),
        (Some("a b/é/c/d"), Some("/echo/a%20b/%C3%A9/c%2Fd?q=%C3%A9"))
    );
}

#[test]
fn rails_streams_templates_and_live_events() {
    let setup = rails();
    let page = setup.nginx.get("/streamed").expect(200);
    assert_eq!(page.text(), "<title>gallery</title><p>streamed streamed streamed </p><footer>");
    let mut client = setup.nginx.connect();
    client.send(Request::get("/live").bytes("close"));
    client.read_until("data: one\n\n");
    setup.test_dir.open_gate("live");
    client.read_until("data: two\n\n");
    setup.nginx.get("/pid").expect(200);
    let page = setup.nginx.get(&format!("/streamed{ODD_REST}")).expect(200).text();
    assert!(page.ends_with("</p><p>a b/é/c/d</p><footer>"), "{page}");
    let events = setup.nginx.get(&format!("/live{ODD_REST}")).expect(200).text();
    assert!(events.ends_with("data: a b/é/c/d\n\n"), "{events}");
}

#[test]
fn rails_active_storage_takes_and_gives_files() {
    let setup = rails();
    let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b \u{e9}.txt\"\r\n\
        Content-Type: text/plain\r\n\r\nfile of a visitor\r\n--b--\r\n";
    let upload = Request::post("/upload", body).header("Content-Type", "multipart/form-data; boundary=b");
    let places = setup.nginx.send(upload).expect(200).json();
    let proxied = setup.nginx.get(places["proxy"].as_str().unwrap()).expect(200);
    assert_eq!(proxied.text(), "file of a visitor");
    let moved = setup.nginx.get(places["redirect"].as_str().unwrap()).expect(302);
    let at = moved.header("Location").unwrap();
    let path = at.split_once("//").and_then(|(_, rest)| rest.find('/').map(|slash| &rest[slash..])).unwrap();
    let served = setup.nginx.get(path).expect(200);
    assert_eq!(served.text(), "file of a visitor");
    assert!(served.header("Content-Disposition").unwrap().contains("a%20b%20%C3%A9.txt"));
    // Rails finds the file by its key; the name is what the visitor calls it.
    for place in ["proxy", "redirect"] {
        let (key, _) = places[place].as_str().unwrap().rsplit_once('/').unwrap();
        let status = setup.nginx.get(&format!("{key}{ODD_REST}.txt")).status();
        assert_eq!(status, if place == "proxy" { 200 } else { 302 }, "{place}");
    }
}

#[test]
fn action_cable_broadcasts_while_the_only_process_serves() {
    let setup = rails();
    let pid = setup.app_pid();
    let mut clients: Vec<_> = (0..5)
        .map(|_| {
            let mut socket = WebSocket::open(
                &setup,
                &format!("/cable{ODD_REST}"),
                "Sec-WebSocket-Protocol: actioncable-v1-json\r\n",
            );
            socket.read_until("welcome");
            socket.send(r#"{"command":"subscribe","identifier":"{\"channel\":\"RoomChannel\"}"}"#);
            socket.read_until("confirm_subscription");
            assert_eq!(setup.app_pid(), pid);
            socket
        })
        .collect();
    setup.nginx.send(Request::post("/broadcast?words=by%20request", "")).expect(204);
    clients.iter_mut().for_each(|socket| socket.read_until("by request"));
    let speak = r#"{"command":"message","identifier":"{\"channel\":\"RoomChannel\"}","data":"{\"action\":\"speak\",\"words\":\"by socket\"}"}"#;
    clients[0].send(speak);
    clients.iter_mut().for_each(|socket| socket.read_until("by socket at /cable/a b/é/c/d"));
    drop(clients);
    eventually("the sockets have ended", || setup.daemon.status().contains("Sessions: 0"));
}

#[test]
fn sinatra_streams_as_it_goes() {
    require_debian_package("ruby-sinatra", "/usr/share/doc/ruby-sinatra");
    let ruby = r##"
        require 'sinatra/base'
        class Shop < Sinatra::Base
          get('/stream') do
            stream do |out|
              out << 'one'
              sleep(0.01) until File.exist?(File.join(__dir__, 'scratch', 'sinatra.go'))
              out << 'two'
            end
          end
          get('/kept') { stream(:keep_open) { |out| out << 'kept '; out << 'open'; out.close } }
          get('/file') { send_file __FILE__ }
          get('/echo/*') { params['splat'].first }
        end
        run Shop
    "##;
    let setup = only_process(|app| app.ruby(ruby));
    let mut client = setup.nginx.connect();
    client.send(Request::get("/stream").bytes("close"));
    client.read_until("one");
    setup.test_dir.open_gate("sinatra");
    client.read_until("two");
    assert_eq!(setup.nginx.get("/kept").expect(200).text(), "kept open");
    assert_eq!(setup.nginx.get("/file").expect(200).text(), ruby);
    assert_eq!(setup.nginx.get(ODD_PATH).expect(200).text(), "a b/é/c/d");
}

#[test]
fn faye_websockets_live_beside_requests() {
    require_debian_package("ruby-faye-websocket", "/usr/share/doc/ruby-faye-websocket");
    let ruby = r#"
        require 'faye/websocket'
        run(lambda do |env|
          if Faye::WebSocket.websocket?(env)
            socket = Faye::WebSocket.new(env, ['chat'])
            socket.on(:message) { |event| socket.send("echo #{event.data}") }
            socket.on(:close) { |event| File.write(File.join(__dir__, 'scratch', 'closed'), event.code.to_s) }
            next socket.rack_response
          end
          if Faye::EventSource.eventsource?(env)
            source = Faye::EventSource.new(env)
            source.send('an event')
            next source.rack_response
          end
          next [200, { 'Content-Type' => 'text/plain' }, [Process.pid.to_s]] if env['PATH_INFO'] == '/pid'
          [200, { 'Content-Type' => 'text/plain' }, [Rack::Utils.unescape_path(env['PATH_INFO'])]]
        end)
    "#;
    let setup = only_process(|app| app.ruby(ruby));
    let pid = setup.app_pid();
    let mut clients: Vec<_> =
        (0..5).map(|_| WebSocket::open(&setup, ODD_PATH, "Sec-WebSocket-Protocol: chat\r\n")).collect();
    for socket in &mut clients {
        assert_eq!(setup.app_pid(), pid);
        socket.send("hé");
        socket.read_until("echo hé");
    }
    let mut events = setup.nginx.connect();
    events.send(Request::get("/events").header("Accept", "text/event-stream").bytes("close"));
    events.read_until("data: an event");
    assert_eq!(setup.nginx.get(ODD_PATH).expect(200).text(), "/echo/a b/é/c/d");
    drop((clients, events));
    eventually("the app is notified of the end", || setup.test_dir.scratch("closed").exists());
    assert_eq!(setup.app_pid(), pid);
}

#[test]
fn a_reactor_is_not_killed_inside_a_callback() {
    require_debian_package("ruby-eventmachine", "/usr/share/doc/ruby-eventmachine");
    let ruby = r#"
        require 'eventmachine'
        $stdout.sync = true
        run(lambda do |env|
          unless EventMachine.reactor_running?
            Thread.new { EventMachine.run { EventMachine.add_periodic_timer(0.001) { puts 'in'; sleep(0.02); puts 'out' } } }
          end
          [200, { 'Content-Type' => 'text/plain' }, ['hello']]
        end)
    "#;
    for method in ["direct", "smart"] {
        let lines = format!("passenger_spawn_method {method};");
        let mut setup = OneApp::app(&lines, |app| app.ruby(ruby));
        setup.nginx.get("/").expect(200);
        setup.daemon.logs_eventually("output: out");
        assert!(setup.daemon.stop().success());
        let log = setup.daemon.log();
        assert_eq!(log.matches("output: in").count(), log.matches("output: out").count(), "{log}");
    }
}

/// A WebSocket of a client.
struct WebSocket(Connection);

impl WebSocket {
    #[track_caller]
    fn open(setup: &OneApp, path: &str, headers: &str) -> Self {
        let mut client = setup.nginx.connect();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{headers}\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ));
        assert_eq!(client.read_head().status, 101);
        Self(client)
    }

    /// A masked text of less than 64 KB.
    fn send(&mut self, text: &str) {
        const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
        let masked = text.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let length = u16::try_from(text.len()).unwrap();
        let mut frame = vec![0x81];
        match length {
            0..126 => frame.push(0x80 | length.to_be_bytes()[1]),
            _ => frame.extend([&[0x80 | 126], length.to_be_bytes().as_slice()].concat()),
        }
        self.0.send(frame.into_iter().chain(MASK).chain(masked).collect::<Vec<u8>>());
    }

    /// Reads messages until one holds `text`.
    #[track_caller]
    fn read_until(&mut self, text: &str) {
        loop {
            let head = self.0.read_exact(2);
            let length = match head[1] {
                126 => usize::from(u16::from_be_bytes(self.0.read_exact(2).try_into().unwrap())),
                length => usize::from(length),
            };
            if String::from_utf8_lossy(&self.0.read_exact(length)).contains(text) {
                return;
            }
        }
    }
}
