//! Hijacked connections of Ruby and Python apps, and the requests that are served beside them.

use test_support::{Connection, OneApp, Request, eventually};

const RUBY: &str = r#"
    ECHO = lambda do |io|
      Thread.new do
        while (part = io.readpartial(4096))
          io.write(part.upcase)
        end
      rescue EOFError, SystemCallError
        io.close
      end
    end
    SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    run ->(env) {
      case env['PATH_INFO']
      when '/tunnel'
        io = env['rack.hijack'].call
        io.write(SWITCH)
        ECHO.call(io)
        [-1, {}, []]
      when '/events'
        stream = lambda do |io|
          io.write('begun ')
          Thread.new do
            sleep(0.01) until File.exist?(File.join(__dir__, 'scratch', 'end.go'))
            io.write('ended')
            io.close
          end
        end
        [200, { 'Content-Type' => 'text/plain', 'rack.hijack' => stream }, []]
      when '/stays'
        io = env['rack.hijack'].call
        io.write(SWITCH)
        while (part = (io.readpartial(4096) rescue nil))
          io.write(part.upcase)
        end
        io.close
        [-1, {}, []]
      else
        [200, { 'Content-Type' => 'text/plain' }, [Process.pid.to_s]]
      end
    }
"#;

const PYTHON: &str = r#"
import os

def application(env, start):
    if env["PATH_INFO"] == "/stays":
        io = env["passenger.hijack"](True)
        io.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while part := io.recv(4096):
            io.sendall(part.upper())
        io.close()
        return []
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"#;

const THREADS: &str = "passenger_concurrency_model thread; passenger_thread_count 3;";

/// One process, which nothing joins.
fn only_process(lines: &str, source: &str) -> OneApp {
    let python = source.starts_with("\nimport");
    let lines = format!("passenger_python /usr/bin/python3; {lines}");
    OneApp::custom(
        &lines,
        |daemon| daemon.flag("--max-pool-size=1"),
        |app| if python { app.python(source) } else { app.ruby(source) },
    )
}

fn tunnel(setup: &OneApp, path: &str) -> Connection {
    let mut client = setup.nginx.connect();
    client
        .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
    assert_eq!(client.read_head().status, 101);
    echo(&mut client);
    client
}

fn echo(client: &mut Connection) {
    client.send("shout.");
    client.read_until("SHOUT.");
}

#[test]
fn twenty_tunnels_leave_the_only_process_free() {
    for lines in ["", THREADS] {
        let setup = only_process(lines, RUBY);
        let pid = setup.app_pid();
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(tunnel(&setup, "/tunnel"));
            assert_eq!(setup.app_pid(), pid);
        }
        clients.iter_mut().for_each(echo);
        assert!(
            setup.daemon.status().contains("Sessions: 20"),
            "they are counted: {}",
            setup.daemon.status()
        );
        drop(clients);
        eventually("they have ended", || setup.daemon.status().contains("Sessions: 0"));
        assert_eq!(setup.app_pid(), pid);
    }
}

#[test]
fn partial_hijacks_leave_the_only_process_free() {
    let setup = only_process("", RUBY);
    let mut clients: Vec<_> = (0..5)
        .map(|_| {
            let mut client = setup.nginx.connect();
            client.send(Request::get("/events").bytes("close"));
            client.read_until("begun ");
            setup.app_pid();
            client
        })
        .collect();
    setup.test_dir.open_gate("end");
    clients.iter_mut().for_each(|client| drop(client.read_until("ended")));
}

#[test]
fn a_client_that_leaves_a_hijacked_stream_ends_its_session() {
    let setup = only_process("", RUBY);
    let pid = setup.app_pid();
    for _ in 0..3 {
        let mut client = setup.nginx.connect();
        client.send(Request::get("/events").bytes("close"));
        client.read_until("begun ");
        assert_eq!(setup.app_pid(), pid);
        drop(client);
    }
    eventually("no session is left", || setup.daemon.status().contains("Sessions: 0"));
    assert_eq!(setup.app_pid(), pid);
}

#[test]
fn an_app_that_keeps_its_connection_keeps_its_slot() {
    for source in [RUBY, PYTHON] {
        let setup = only_process("", source);
        let pid = setup.app_pid();
        let mut client = tunnel(&setup, "/stays");
        let mut waiting = setup.nginx.connect();
        waiting.send(Request::get("/pid").bytes("close"));
        eventually("the request waits", || setup.daemon.status().contains("Requests in queue: 1"));
        echo(&mut client);
        drop(client);
        assert_eq!(waiting.read_response().expect(200).text(), pid.to_string());
        assert_eq!(setup.app_pid(), pid);
    }
}

#[test]
fn other_threads_serve_beside_kept_connections() {
    for source in [RUBY, PYTHON] {
        let setup = only_process(THREADS, source);
        let pid = setup.app_pid();
        let mut first = tunnel(&setup, "/stays");
        let second = tunnel(&setup, "/stays");
        for _ in 0..5 {
            assert_eq!(setup.app_pid(), pid);
        }
        // Each thread that returns is used again, whichever connection it takes first.
        drop(second);
        for _ in 0..5 {
            assert_eq!(setup.app_pid(), pid);
        }
        echo(&mut first);
        let third = tunnel(&setup, "/stays");
        drop(first);
        drop(third);
        eventually("all have ended", || setup.daemon.status().contains("Sessions: 0"));
        let waiting: Vec<_> = (0..6)
            .map(|_| {
                let mut client = setup.nginx.connect();
                client.send(Request::get("/pid").bytes("close"));
                client
            })
            .collect();
        waiting.into_iter().for_each(|mut client| drop(client.read_response().expect(200)));
    }
}

#[test]
fn a_restart_ends_tunnels_whose_slots_are_free() {
    let setup = only_process("", RUBY);
    let pid = setup.app_pid();
    let mut clients: Vec<_> = (0..3).map(|_| tunnel(&setup, "/tunnel")).collect();
    let dir = setup.app.dir().to_str().unwrap();
    assert!(setup.daemon.tool("passenger-config", &["restart-app", dir]).status.success());
    clients.iter_mut().for_each(|client| drop(client.read_to_end()));
    assert_ne!(setup.app_pid(), pid);
}

#[test]
fn a_restart_waits_for_tunnels_where_they_are_kept() {
    let lines = "passenger_abort_websockets_on_process_shutdown off; passenger_python /usr/bin/python3;";
    let setup = OneApp::app(lines, |app| app.ruby(RUBY));
    let pid = setup.app_pid();
    let mut client = tunnel(&setup, "/tunnel");
    let dir = setup.app.dir().to_str().unwrap();
    assert!(setup.daemon.tool("passenger-config", &["restart-app", dir]).status.success());
    assert_ne!(setup.app_pid(), pid);
    echo(&mut client);
    assert!(setup.daemon.app_pids().contains(&pid), "the old process lives as long as its tunnel");
    drop(client);
    eventually("it has ended", || !setup.daemon.app_pids().contains(&pid));
}
