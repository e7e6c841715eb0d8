//! Apps that fail during a response.

use test_support::{OneApp, eventually, for_each_language};

for_each_language! {
    fn an_exception_is_a_500_and_a_backtrace_in_the_log(language) {
        let setup = OneApp::of(language);
        setup.app_pid();
        let response = setup.nginx.get("/boom");
        assert!(matches!(response.status(), 500 | 502), "{}", response.status());
        assert!(!response.text().contains("deliberate mistake"), "not for visitors: {}", response.text());
        setup.daemon.logs_eventually("deliberate mistake");
        eventually("the app answers again", || setup.nginx.get("/").status() == 200);
    }

    fn a_process_that_ends_in_a_request_is_replaced(language) {
        let setup = OneApp::of(language);
        let before = setup.app_pid();
        assert_eq!(setup.nginx.get("/exit").status(), 502);
        eventually("another process answers", || {
            let response = setup.nginx.get("/pid");
            response.status() == 200 && response.text() != before.to_string()
        });
    }

    fn output_is_logged_with_the_apps_name_and_pid(language) {
        let setup = OneApp::of(language);
        let pid = setup.app_pid();
        setup.nginx.get("/boom");
        eventually("the line names the process", || {
            let log = setup.daemon.log();
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
    let setup = OneApp::app("", |app| app.ruby(ruby));
    let response = setup.nginx.get("/");
    assert_eq!(response.status(), 200);
    assert!(!response.complete, "a visitor must be able to detect it: {}", response.text());
    setup.daemon.logs_eventually("broke off");
    assert_eq!(setup.nginx.get("/ok").expect(200).text(), "fine");
}

#[test]
fn an_invalid_http_response_is_a_502() {
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
    let setup = OneApp::app(r#"passenger_app_start_command "node raw.js";"#, |app| app.file("raw.js", node));
    for path in ["/nonsense", "/nothing", "/both", "/twice"] {
        assert_eq!(setup.nginx.get(path).status(), 502, "{path}");
        assert_eq!(setup.nginx.get("/fine").expect(200).text(), "fine", "after {path}");
    }
    let folded = setup.nginx.get("/folded").status();
    assert!(matches!(folded, 200 | 502), "{folded}");
}
