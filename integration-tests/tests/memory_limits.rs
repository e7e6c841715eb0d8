//! Memory limits: processes above them are replaced or killed.

use test_support::{OneApp, Request, eventually};

/// Holds as many MiB as it is asked to, for as long as it lives.
const RUBY: &str = "HELD = []\n\
    run ->(env) {\n\
      HELD << 'x' * (env['QUERY_STRING'].to_i << 20)\n\
      sleep 0.05 while env['PATH_INFO'] == '/stay' && !File.exist?('scratch/stay.go')\n\
      [200, {}, [Process.pid.to_s]]\n\
    }";
const PYTHON: &str = "import os\nHELD = []\n\
    def application(environ, start_response):\n\
    \x20   HELD.append(b'x' * (int(environ['QUERY_STRING'] or 0) << 20))\n\
    \x20   start_response('200 OK', [])\n\
    \x20   return [str(os.getpid()).encode()]\n";
const NODE: &str = "const held = [];\n\
    require('http').createServer((request, response) => {\n\
      held.push(Buffer.alloc(Number(request.url.split('?')[1] || 0) << 20, 'x'));\n\
      response.end(String(process.pid));\n\
    }).listen();";

const LIMIT: &str = "passenger_memory_limit 200; passenger_analytics_collection_rate 1;";

fn pid(setup: &OneApp, path: &str) -> String {
    setup.nginx.get(path).expect(200).text()
}

#[test]
fn a_process_above_its_limit_is_replaced() {
    let apps =
        [("ruby", "config.ru", RUBY), ("python", "passenger_wsgi.py", PYTHON), ("node", "app.js", NODE)];
    for (language, file, source) in apps {
        let setup = OneApp::app(LIMIT, |app| app.file(file, source));
        let modest = pid(&setup, "/?10");
        assert_eq!(pid(&setup, "/"), modest, "{language}");
        pid(&setup, "/?250");
        eventually("another process answers", || pid(&setup, "/") != modest);
        setup.daemon.logs_eventually("more than 200 (passenger_memory_limit): replacing it");
        eventually("the first has gone", || !test_support::is_alive(modest.parse().unwrap()));
    }
}

#[test]
fn its_request_is_finished_first() {
    let setup = OneApp::app(LIMIT, |app| app.ruby(RUBY));
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/stay?250").bytes("close"));
    setup.daemon.logs_eventually("more than 200 (passenger_memory_limit): replacing it");
    setup.test_dir.open_gate("stay");
    let greedy = busy.read_response().expect(200).text();
    assert_ne!(pid(&setup, "/"), greedy);
}

#[test]
fn a_process_above_the_hard_limit_is_killed_at_once() {
    let lines = "passenger_hard_memory_limit 200; passenger_analytics_collection_rate 1;";
    let setup = OneApp::app(lines, |app| app.ruby(RUBY));
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/stay?250").bytes("close"));
    assert_eq!(busy.read_response().status(), 502);
    setup.daemon.logs_eventually("more than 200 (passenger_hard_memory_limit): killing it");
    setup.nginx.get("/").expect(200);
}

#[test]
fn a_reloaded_limit_applies_to_running_processes() {
    let setup = OneApp::app("", |app| app.ruby(RUBY));
    let greedy = pid(&setup, "/?250");
    setup.nginx.configure(&test_support::ONE_APP_CONF.replace("%%APP%%", LIMIT));
    setup.nginx.reload();
    eventually("another process answers", || pid(&setup, "/") != greedy);
}
