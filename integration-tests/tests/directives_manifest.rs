//! `passenger_dump_config_manifest`: the settings of each level with their files and lines, as JSON.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use test_support::{Nginx, TestDir};

const CONF: &str = r#"%%GLOBALS%%
events { }
http {
    %%HTTP%%
    passenger_fly_with %%SOCKET%%;
    passenger_dump_config_manifest %%MANIFEST%%;
    passenger_max_pool_size 3;
    passenger_app_env staging;
    server {
        listen 127.0.0.1:%%PORT%%;
        server_name shop.test other.test;
        root %%DIR%%;
        passenger_enabled on;
        passenger_env_var QUOTE 'a "b"';
        location /silent { }
        location ~ ^/slow {
            passenger_read_timeout 1h;
            passenger_app_root /srv/slow;
            passenger_base_uri /slow;
            if ($arg_x) { passenger_app_env test; }
        }
        location /off { passenger_enabled off; }
        location /status { passenger_status; }
    }
}
"#;

fn tested(test_dir: &TestDir, path: &str) -> (Nginx, String) {
    let nginx = test_dir.nginx(&CONF.replace("%%MANIFEST%%", path));
    let test = nginx.test_config();
    let printed = String::from_utf8_lossy(&test.stderr).into_owned();
    assert!(test.status.success(), "{printed}");
    (nginx, printed)
}

/// The only level that has this context and location.
fn level<'v>(levels: &'v [Value], context: &str, location: &Value) -> &'v Value {
    let mut found =
        levels.iter().filter(|level| level["context"] == context && level["location"] == *location);
    let level = found.next().unwrap_or_else(|| panic!("no {context} {location} in {levels:#?}"));
    assert!(found.next().is_none(), "{context} {location} twice");
    level
}

/// Names, arguments and lines of a level's directives.
fn stated(level: &Value) -> Vec<(String, Value, u64)> {
    let directives = level["directives"].as_array().unwrap();
    let reported = directives.iter().map(|each| {
        assert!(each["file"].as_str().unwrap().ends_with("/nginx.conf"), "{each}");
        let name = each["directive"].as_str().unwrap().to_owned();
        (name, each["arguments"].clone(), each["line"].as_u64().unwrap())
    });
    reported.collect()
}

#[test]
fn the_manifest_lists_every_directive_with_level_and_line() {
    let test_dir = TestDir::new();
    let path = test_dir.path("manifest.json");
    tested(&test_dir, &path.display().to_string());
    let document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let levels = document["levels"].as_array().unwrap();

    let http = stated(level(levels, "http", &Value::Null));
    assert_eq!(http[2], ("passenger_max_pool_size".into(), json!(["3"]), 7));
    let names: Vec<_> = http.iter().map(|(name, _, line)| (name.as_str(), *line)).collect();
    let fly = [("passenger_fly_with", 5), ("passenger_dump_config_manifest", 6)];
    assert_eq!(names[..2], fly);
    assert_eq!(names[3..], [("passenger_app_env", 8)]);

    let server = level(levels, "server", &Value::Null);
    assert_eq!(server["server_name"], "shop.test");
    assert_eq!(stated(server)[1], ("passenger_env_var".into(), json!(["QUOTE", "a \"b\""]), 14));
    assert_eq!(server["effective"], json!({ "app_env": "staging", "env_var": { "QUOTE": "a \"b\"" } }));

    let slow = level(levels, "location", &json!("^/slow"));
    assert_eq!(slow["server_name"], "shop.test");
    assert_eq!(stated(slow)[0], ("passenger_read_timeout".into(), json!(["1h"]), 17));
    assert_eq!(
        (&slow["effective"]["app_root"], &slow["effective"]["base_uri"]),
        (&json!("/srv/slow"), &json!(["/slow"]))
    );

    let inner = level(levels, "if in location", &json!("^/slow"));
    assert_eq!(stated(inner), [("passenger_app_env".to_owned(), json!(["test"]), 20)]);
    assert_eq!(inner["effective"]["app_env"], "test");
    assert_eq!(level(levels, "location", &json!("/off"))["effective"], Value::Null);
    assert_eq!(stated(level(levels, "location", &json!("/silent"))), []);
    let status = level(levels, "location", &json!("/status"));
    assert_eq!(stated(status), [("passenger_status".to_owned(), json!([]), 23)]);
    assert_eq!(status["effective"], Value::Null, "it serves no app");
}

#[test]
fn the_manifest_is_private_and_rewritten_at_each_reload() {
    let test_dir = TestDir::new();
    let path = test_dir.path("manifest.json");
    let (nginx, _) = tested(&test_dir, &path.display().to_string());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let nginx = nginx.start();
    nginx.configure(&CONF.replace("%%MANIFEST%%", &path.display().to_string()).replace("size 3;", "size 4;"));
    nginx.reload();
    let text = fs::read_to_string(&path).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let http = stated(level(document["levels"].as_array().unwrap(), "http", &Value::Null));
    assert_eq!(http[2].1, json!(["4"]), "{text}");
}

#[test]
fn an_unwritable_manifest_stops_nothing() {
    let test_dir = TestDir::new();
    let (nginx, printed) = tested(&test_dir, "%%DIR%%/no/such/dir/manifest.json");
    let path = test_dir.path("no/such/dir/manifest.json");
    let sentence = format!(
        "passenger_dump_config_manifest: \"{}\" cannot be written: No such file or directory",
        path.display()
    );
    let line = printed.lines().find(|line| line.contains(&sentence)).unwrap_or_else(|| panic!("{printed}"));
    assert!(line.contains("[error]"), "{line}");
    let nginx = nginx.start();
    assert!(nginx.error_log().contains(&sentence), "{}", nginx.error_log());
}

#[test]
fn the_manifest_is_private_and_follows_no_link() {
    let test_dir = TestDir::new();
    let (manifest, other) = (test_dir.path("manifest.json"), test_dir.path("other"));
    let path = manifest.to_str().unwrap();
    fs::write(&manifest, "old").unwrap();
    fs::set_permissions(&manifest, fs::Permissions::from_mode(0o644)).unwrap();
    tested(&test_dir, path);
    assert_eq!(fs::metadata(&manifest).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&manifest).unwrap().starts_with('{'));

    fs::remove_file(&manifest).unwrap();
    fs::write(&other, "precious").unwrap();
    std::os::unix::fs::symlink(&other, &manifest).unwrap();
    let (_, printed) = tested(&test_dir, path);
    assert!(printed.contains("not a regular file"), "{printed}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    let names = fs::read_dir(test_dir.dir()).unwrap().map(|entry| entry.unwrap().file_name());
    let left = names.filter(|name| name.to_string_lossy().starts_with("manifest.json.")).count();
    assert_eq!(left, 0, "nothing is left over");
}
