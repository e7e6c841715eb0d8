//! A loaded module that is not used changes no byte of a response.

use test_support::{Connection, Nginx, TestDir};

/// No directive of ours. A comment makes the harness load the module.
const CONF: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%DIR%%/app/public;
            location /told { return 200 "$uri $args $request_method\n"; }
            location /ssi/ { ssi on; ssi_types *; alias %%DIR%%/app/public/; }
            location /gone { error_page 404 = /told; }
        }
    }
"#;

/// Everything that was answered, but for the moment it was answered at.
fn answers(nginx: &Nginx, bytes: &str) -> String {
    let mut client: Connection = nginx.connect();
    client.send(bytes);
    let method = bytes.split(' ').next().unwrap_or_default();
    let answer = client.read_response_to(method);
    let head = String::from_utf8_lossy(&answer.head.raw).into_owned();
    let lines: Vec<&str> = head.lines().filter(|line| !line.starts_with("Date: ")).collect();
    format!("{}\n{}", lines.join("\n"), answer.text())
}

#[test]
fn responses_are_the_same_with_an_unused_module() {
    let test_dir = TestDir::new();
    test_dir
        .app("app")
        .file("public/file.txt", "0123456789")
        .file("public/page.html", "<!--#include virtual=\"/told\" -->");
    let with = test_dir.nginx(&format!("{CONF}# passenger")).start();
    let without = test_dir.nginx(CONF).start();
    assert!(with.has_module() && !without.has_module());
    for path in ["/file.txt", "/told?a=b", "/ssi/page.html", "/gone", "/none", "/", "/file.txt/"] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            for more in ["", "Range: bytes=2-4\r\n", "If-None-Match: *\r\n"] {
                let bytes = format!(
                    "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{more}Connection: close\r\n\r\n"
                );
                assert_eq!(answers(&with, &bytes), answers(&without, &bytes), "{bytes}");
            }
        }
    }
}
