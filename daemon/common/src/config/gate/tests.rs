//! Tests of the tables `[gate]` and `[[apps]]`: values, errors with their lines, networks.

use std::net::IpAddr;

use protocol::settings::Value;

use super::{GateFile, Listen, TrustedNetwork, app_keys, read_gate_file};

fn read(text: &str) -> Result<GateFile, Vec<String>> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("gate-{}-{count}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let name = path.display().to_string();
    let read = read_gate_file(&path, nix::unistd::Uid::from_raw(1000));
    std::fs::remove_file(&path).unwrap();
    read.map_err(|errors| errors.iter().map(|error| error.to_string().replace(&name, "x")).collect())
}

#[test]
fn the_tables_are_read() {
    let text = r#"
socket_file = "/run/x.sock"
[gate]
listen = ["127.0.0.1:3000", "unix:/run/g.sock", "[::1]:80", "8080"]
trusted_proxies = ["10.0.0.0/8", "unix:"]
proxy_protocol = true
max_connections = 99
[[apps]]
hosts = ["Example.org", "*.example.org"]
path = "/blog/"
root = "/srv/example/"
app_env = "staging"
min_instances = 2
start_timeout = 30
rolling_restarts = true
env_var = { B = "1", A = "2" }
[[apps]]
root = "/srv/other"
public = "/srv/static"
app_type = "wsgi"
app_start_command = "exec x"
"#;
    let file = read(text).unwrap();
    assert_eq!(file.socket_file.as_deref(), Some(std::path::Path::new("/run/x.sock")));
    assert_eq!(file.gate.listen[3], Listen::parse("127.0.0.1:8080").unwrap());
    assert_eq!(file.gate.listen.len(), 4);
    assert!(file.gate.proxy_protocol);
    assert_eq!(file.gate.max_connections, Some(99));
    let [one, other] = &file.apps[..] else { panic!("{:?}", file.apps) };
    assert_eq!(one.hosts, ["example.org", "*.example.org"]);
    assert_eq!((one.base_uri.as_str(), one.pre_start), ("/blog", true));
    assert_eq!(one.root, std::path::Path::new("/srv/example"));
    assert_eq!(one.public, std::path::Path::new("/srv/example/public"));
    assert_eq!(one.settings.get("start_timeout"), Some(&Value::Number(30)));
    assert_eq!(one.settings.get("rolling_restarts"), Some(&Value::Flag(true)));
    assert_eq!(one.settings.iter().count(), 5);
    assert_eq!((other.base_uri.as_str(), other.pre_start), ("", false));
    assert_eq!(other.public, std::path::Path::new("/srv/static"));
    assert_eq!(other.start_command.as_deref(), Some("exec x"));
}

#[test]
fn each_error_has_its_line_and_the_usual_form() {
    let text = "[gate]\nlisten = [\"nowhere\"]\nport = 1\nproxy_protocol = true\n[[apps]]\nroot = \"srv\"\n\
                min_instances = -1\nload_balancing = \"x\"\npath = \"blog\"\nhosts = [\"a b\"]\nrooot = \"/x\"\n\
                app_type = \"cobol\"\n[[apps]]\npath = \"/\"\n";
    let errors = read(text).unwrap_err();
    for begin in [
        "x, line 2: invalid value \"nowhere\" in \"listen\": must be an address with a port",
        "x, line 3: unknown option \"port\" in [gate]; the options are listen, trusted_proxies",
        "x, line 1: proxy_protocol: requires trusted_proxies",
        "x, line 6: invalid value \"srv\" in \"root\": must be an absolute path",
        "x, line 7: invalid value \"-1\" in \"min_instances\": must be a number >= 0",
        "x, line 8: invalid value \"x\" in \"load_balancing\": must be one of",
        "x, line 9: invalid value \"blog\" in \"path\": must be the path of a URI",
        "x, line 10: invalid value \"a b\" in \"hosts\": must be the name of a host",
        "x, line 11: unknown option \"rooot\" in [[apps]]; did you mean \"root\"?",
        "x, line 12: invalid value \"cobol\" in \"app_type\": must be one of \"ruby\"",
        "x, line 13: root: is required in [[apps]]",
    ] {
        assert!(errors.iter().any(|error| error.starts_with(begin)), "{begin} is not in {errors:#?}");
    }
    assert_eq!(errors.len(), 11, "{errors:#?}");
}

#[test]
fn two_applications_cannot_be_at_the_same_place() {
    let text = "[[apps]]\nroot = \"/a\"\nhosts = [\"x.org\"]\n[[apps]]\nroot = \"/b\"\nhosts = [\"y.org\", \"X.org\"]\n";
    let errors = read(text).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("x, line 4: apps: \"x.org\" with the path \"/\" is already"), "{errors:?}");
}

#[test]
fn networks_contain_their_addresses_only() {
    let contains = |network: &str, address: Option<&str>| {
        let address: Option<IpAddr> = address.map(|address| address.parse().unwrap());
        TrustedNetwork::parse(network).unwrap().contains(address)
    };
    assert!(contains("10.0.0.0/8", Some("10.255.0.1")));
    assert!(!contains("10.0.0.0/8", Some("11.0.0.1")));
    assert!(contains("10.0.0.0/8", Some("::ffff:10.0.0.1")));
    assert!(contains("0.0.0.0/0", Some("192.0.2.1")));
    assert!(contains("192.0.2.1", Some("192.0.2.1")));
    assert!(!contains("192.0.2.1", Some("192.0.2.2")));
    assert!(contains("2001:db8::/32", Some("2001:db8::1")));
    assert!(contains("::/0", Some("::1")));
    assert!(!contains("::/0", Some("192.0.2.1")));
    assert!(contains("unix:", None));
    assert!(!contains("unix:", Some("127.0.0.1")));
    assert!(!contains("0.0.0.0/0", None));
    for wrong in ["10.0.0.0/33", "::/129", "example.org", "10.0.0.0/", "", "unix:/x"] {
        assert!(TrustedNetwork::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_setting_of_applications_is_a_key() {
    let keys: Vec<_> = app_keys().collect();
    for key in ["app_env", "env_var", "min_instances", "sticky_sessions", "root", "hosts"] {
        assert!(keys.contains(&key), "{key}");
    }
}
