//! Ruby and Python apps that take over their connection.

use test_support::{OneApp, Request, eventually};

const RUBY: &str = r#"
    run ->(env) {
      case env['PATH_INFO']
      when '/full'
        raise 'no hijack' unless env['rack.hijack?']
        io = env['rack.hijack'].call
        io ||= env['rack.hijack_io']
        io.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nX-Hijacked: full\r\n\r\nfull ")
        io.flush
        io.write('hijack')
        io.close
        [-1, {}, []]
      when '/partial'
        body = lambda { |io|
          io.write('partial ')
          io.write('hijack')
          io.close
        }
        [200, { 'Content-Type' => 'text/plain', 'X-Hijacked' => 'partial', 'rack.hijack' => body }, []]
      when '/tunnel'
        io = env['rack.hijack'].call
        io.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        Thread.new {
          begin
            while (part = io.readpartial(4096))
              io.write(part.upcase)
            end
          rescue EOFError
            io.close
            File.write(File.join(__dir__, 'scratch', 'tunnel.closed'), '')
          end
        }
        [-1, {}, []]
      else
        [200, { 'Content-Type' => 'text/plain' }, [Process.pid.to_s]]
      end
    }
"#;

const PYTHON: &str = r#"
import os

def application(env, start):
    if env["PATH_INFO"] == "/full":
        io = env["passenger.hijack"](True)
        io.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nfull ")
        io.sendall(b"hijack")
        io.close()
        return []
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"#;

#[test]
fn ruby_hijacks_fully_and_partially() {
    let setup = OneApp::app("", |app| app.ruby(RUBY));
    for turn in 0..3 {
        for kind in ["full", "partial"] {
            let response = setup.nginx.get(&format!("/{kind}")).expect(200);
            assert_eq!(response.text(), format!("{kind} hijack"), "turn {turn}");
            assert_eq!(response.header("X-Hijacked"), Some(kind));
            assert_eq!(response.header("rack.hijack"), None);
        }
        setup.nginx.get("/pid").expect(200);
    }
}

#[test]
fn ruby_hijacks_a_tunnel_and_keeps_serving() {
    let setup = OneApp::app("", |app| app.ruby(RUBY));
    let mut client = setup.nginx.connect();
    client.send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.read_head().status, 101);
    client.send("shout");
    client.read_until("SHOUT");
    client.send(" again");
    client.read_until(" AGAIN");
    drop(client);
    eventually("the app is notified of the end", || setup.test_dir.scratch("tunnel.closed").exists());
    setup.nginx.send(Request::get("/pid")).expect(200);
}

#[test]
fn python_hijacks() {
    let setup = OneApp::app("", |app| app.python(PYTHON));
    for _ in 0..3 {
        assert_eq!(setup.nginx.get("/full").expect(200).text(), "full hijack");
        setup.nginx.get("/pid").expect(200);
    }
}
