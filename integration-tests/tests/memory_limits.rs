//! Memory limits: processes above them are replaced or killed.

use stage::{Request, Scene, eventually};

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

fn pid(scene: &Scene, path: &str) -> String {
    scene.nginx.get(path).expect(200).text()
}

#[test]
fn a_process_above_its_limit_is_replaced() {
    let apps =
        [("ruby", "config.ru", RUBY), ("python", "passenger_wsgi.py", PYTHON), ("node", "app.js", NODE)];
    for (language, file, source) in apps {
        let scene = Scene::app(LIMIT, |app| app.file(file, source));
        let modest = pid(&scene, "/?10");
        assert_eq!(pid(&scene, "/"), modest, "{language}");
        pid(&scene, "/?250");
        eventually("another process answers", || pid(&scene, "/") != modest);
        scene.daemon.logs_eventually("more than 200 (passenger_memory_limit): replacing it");
        eventually("the first has gone", || !stage::is_alive(modest.parse().unwrap()));
    }
}

#[test]
fn its_request_is_finished_first() {
    let scene = Scene::app(LIMIT, |app| app.ruby(RUBY));
    let mut busy = scene.nginx.connect();
    busy.send(Request::get("/stay?250").bytes("close"));
    scene.daemon.logs_eventually("more than 200 (passenger_memory_limit): replacing it");
    scene.stage.open_gate("stay");
    let greedy = busy.read_response().expect(200).text();
    assert_ne!(pid(&scene, "/"), greedy);
}

#[test]
fn above_the_hard_limit_it_is_killed_in_the_midst() {
    let lines = "passenger_hard_memory_limit 200; passenger_analytics_collection_rate 1;";
    let scene = Scene::app(lines, |app| app.ruby(RUBY));
    let mut busy = scene.nginx.connect();
    busy.send(Request::get("/stay?250").bytes("close"));
    assert_eq!(busy.read_response().status(), 502);
    scene.daemon.logs_eventually("more than 200 (passenger_hard_memory_limit): killing it");
    scene.nginx.get("/").expect(200);
}

#[test]
fn a_limit_that_comes_with_a_reload_counts_for_processes_that_run() {
    let scene = Scene::app("", |app| app.ruby(RUBY));
    let greedy = pid(&scene, "/?250");
    scene.nginx.configure(&stage::ONE_APP.replace("%%APP%%", LIMIT));
    scene.nginx.reload();
    eventually("another process answers", || pid(&scene, "/") != greedy);
}
