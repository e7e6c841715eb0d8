//! Apps that fail during a response.

use stage::{Scene, eventually, for_each_language};

for_each_language! {
    fn an_exception_is_an_error_to_the_visitor_and_a_story_in_the_log(language) {
        let scene = Scene::of(language);
        scene.app_pid();
        let response = scene.nginx.get("/boom");
        assert!(matches!(response.status(), 500 | 502), "{}", response.status());
        assert!(!response.text().contains("deliberate mistake"), "not for visitors: {}", response.text());
        scene.daemon.logs_eventually("deliberate mistake");
        eventually("the app answers again", || scene.nginx.get("/").status() == 200);
    }

    fn a_process_that_ends_in_a_request_is_replaced(language) {
        let scene = Scene::of(language);
        let before = scene.app_pid();
        assert_eq!(scene.nginx.get("/exit").status(), 502);
        eventually("another process answers", || {
            let response = scene.nginx.get("/pid");
            response.status() == 200 && response.text() != before.to_string()
        });
    }

    fn what_it_prints_goes_to_the_log_with_its_name_and_pid(language) {
        let scene = Scene::of(language);
        let pid = scene.app_pid();
        scene.nginx.get("/boom");
        eventually("the line names the process", || {
            let log = scene.daemon.log();
            log.lines().any(|line| line.contains("deliberate mistake") && line.contains(&pid.to_string()))
        });
    }
}

#[test]
fn an_exception_in_the_middle_of_a_body_cuts_the_response() {
    let ruby = r#"
        class Breaks
          def each
            yield 'begun '
            raise 'broke off'
          end
        end
        run ->(env) { env['PATH_INFO'] == '/' ? [200, {}, Breaks.new] : [200, {}, ['fine']] }
    "#;
    let scene = Scene::app("", |app| app.ruby(ruby));
    let response = scene.nginx.get("/");
    assert_eq!(response.status(), 200);
    assert!(!response.complete, "a visitor must be able to tell: {}", response.text());
    scene.daemon.logs_eventually("broke off");
    assert_eq!(scene.nginx.get("/ok").expect(200).text(), "fine");
}

#[test]
fn an_http_app_that_answers_nonsense_is_a_502() {
    let node = r#"
        require('net').createServer((socket) => {
          socket.on('error', () => {});
          socket.once('data', (data) => {
            const path = String(data).split(' ')[1];
            const answers = {
              '/nonsense': 'this is no HTTP\r\n\r\n',
              '/nothing': '',
              '/both': 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
              '/twice': 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
              '/folded': 'HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n',
              '/fine': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine',
            };
            socket.end(answers[path]);
          });
        }).listen(process.env.PORT, '127.0.0.1');
    "#;
    let scene = Scene::app(r#"passenger_app_start_command "node raw.js";"#, |app| app.file("raw.js", node));
    for path in ["/nonsense", "/nothing", "/both", "/twice"] {
        assert_eq!(scene.nginx.get(path).status(), 502, "{path}");
        assert_eq!(scene.nginx.get("/fine").expect(200).text(), "fine", "after {path}");
    }
    let folded = scene.nginx.get("/folded").status();
    assert!(matches!(folded, 200 | 502), "{folded}");
}
