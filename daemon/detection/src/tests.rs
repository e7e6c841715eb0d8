//! Directories as repositories have them, and what is detected in each.

mod hostile;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use protocol::request::AppKind::{self, Generic, Meteor, Node, Python, Ruby};

use super::*;

/// A directory with these files, removed at the end.
pub(crate) struct App(pub(crate) PathBuf);

impl App {
    pub(crate) fn with(name: &str, files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (pid, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("detection-{name}-{pid}-{number}"));
        let _none_from_before = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(dir)
    }

    /// Returns the kind with the startup file or command.
    fn found(&self) -> Option<(AppKind, String)> {
        let found = detect(&self.0).unwrap()?;
        Some((found.kind, found.entry().value.to_owned()))
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

type Case<'a> = (&'static str, &'a [(&'static str, &'static str)], Option<(AppKind, &'static str)>);

fn check(cases: &[Case<'_>]) {
    for (what, files, expected) in cases {
        let app = App::with("case", files);
        let expected = expected.map(|(kind, entry)| (kind, entry.to_owned()));
        assert_eq!(app.found(), expected, "{what}: {:?}", search(&app.0));
    }
}

const FLASK: &str = "from flask import Flask\napp = Flask(__name__)\n";
const MANAGE: &str = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')";
const WSGI: &str = "application = get_wsgi_application()";
const ASSETS: &str = r#"{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "5"}}"#;
const EXPRESS: &str = "const app = require('express')();\napp.listen(process.env.PORT);";
const LIBRARY: &str = "module.exports = { add: (a, b) => a + b };";

#[test]
fn the_usual_files_come_first() {
    const ALL: &[(&str, &str)] =
        &[("config.ru", ""), ("app.js", ""), ("passenger_wsgi.py", ""), (".meteor/packages", "")];
    check(&[
        ("everything", ALL, Some((Ruby, "config.ru"))),
        ("without Ruby", &[ALL[1], ALL[2], ALL[3]], Some((Node, "app.js"))),
        ("without Node", &[ALL[2], ALL[3]], Some((Python, "passenger_wsgi.py"))),
        (
            "Meteor",
            &[ALL[3], ("package.json", r#"{"scripts": {"start": "meteor run"}}"#)],
            Some((Meteor, ".meteor")),
        ),
        ("Flask beside passenger_wsgi.py", &[ALL[2], ("app.py", FLASK)], Some((Python, "passenger_wsgi.py"))),
        (
            "Rails with assets and Heroku",
            &[
                ("config.ru", "run Rails.application"),
                ("package.json", r#"{"main": "index.js", "scripts": {"start": "node index.js"}}"#),
                ("index.js", EXPRESS),
                ("Procfile", "web: bundle exec puma"),
                ("app.py", FLASK),
            ],
            Some((Ruby, "config.ru")),
        ),
    ]);
    for (kind, usual) in [(Ruby, "config.ru"), (Node, "app.js"), (Python, "passenger_wsgi.py")] {
        let found = detect(&App::with("usual", &[(usual, "")]).0).unwrap().unwrap();
        assert_eq!(found, Detected::configured(kind), "as in earlier releases");
        assert_eq!(found.entry().reason, Some("it exists"));
    }
}

#[test]
fn python_applications_are_found() {
    check(&[
        ("Flask", &[("app.py", FLASK)], Some((Python, "app.py"))),
        ("FastAPI", &[("main.py", "app = FastAPI()")], Some((Python, "main.py"))),
        (
            "wsgi.py of Flask",
            &[("wsgi.py", "from shop import app"), ("app.py", "")],
            Some((Python, "wsgi.py")),
        ),
        ("asgi.py", &[("asgi.py", "application = x"), ("app.py", FLASK)], Some((Python, "asgi.py"))),
        ("both interfaces", &[("wsgi.py", WSGI), ("asgi.py", WSGI)], Some((Python, "wsgi.py"))),
        ("a factory", &[("app.py", "def create_app():\n    app = Flask()\n    return app\n")], None),
        (
            "a factory and wsgi.py",
            &[("app.py", "def create_app(): pass"), ("wsgi.py", WSGI)],
            Some((Python, "wsgi.py")),
        ),
        ("a script", &[("main.py", "import sys\nprint(sys.argv)\n")], None),
        ("a package of that name", &[("app/__init__.py", FLASK)], None),
        (
            "Flask with assets",
            &[("app.py", FLASK), ("package.json", ASSETS), ("index.js", EXPRESS)],
            Some((Python, "app.py")),
        ),
        (
            "Flask for Heroku",
            &[("app.py", FLASK), ("Procfile", "web: gunicorn app:app")],
            Some((Python, "app.py")),
        ),
        (
            "FastAPI in a package, for Heroku",
            &[("api/main.py", "app = FastAPI()"), ("Procfile", "web: uvicorn api.main:app --port $PORT")],
            Some((Generic, "uvicorn api.main:app --port $PORT")),
        ),
    ]);
}

#[test]
fn django_projects_are_found() {
    check(&[
        (
            "Django",
            &[("manage.py", MANAGE), ("shop/wsgi.py", WSGI), ("shop/asgi.py", WSGI)],
            Some((Python, "shop/wsgi.py")),
        ),
        (
            "with asgi.py only",
            &[("manage.py", MANAGE), ("shop/asgi.py", WSGI)],
            Some((Python, "shop/asgi.py")),
        ),
        (
            "settings in a package",
            &[
                ("manage.py", "setdefault(\"DJANGO_SETTINGS_MODULE\", \"config.settings.local\")"),
                ("config/wsgi.py", WSGI),
            ],
            Some((Python, "config/wsgi.py")),
        ),
        ("no wsgi.py", &[("manage.py", MANAGE), ("shop/settings.py", "")], None),
        ("Flask-Script", &[("manage.py", "manager.run()")], None),
        (
            "Django with assets, for Heroku",
            &[
                ("manage.py", MANAGE),
                ("shop/wsgi.py", WSGI),
                ("package.json", ASSETS),
                ("Procfile", "release: python manage.py migrate\nweb: gunicorn shop.wsgi"),
            ],
            Some((Python, "shop/wsgi.py")),
        ),
    ]);
}

#[test]
fn nodejs_applications_are_found() {
    const GENERATED: &str = r#"{"scripts": {"start": "node ./bin/www"}}"#;
    check(&[
        ("server.js", &[("server.js", "")], Some((Node, "server.js"))),
        ("index.js", &[("index.js", EXPRESS)], Some((Node, "index.js"))),
        ("a library", &[("index.js", LIBRARY), ("package.json", r#"{"main": "index.js"}"#)], None),
        ("express-generator", &[("package.json", GENERATED), ("bin/www", EXPRESS)], Some((Node, "bin/www"))),
        (
            "a start script and another file",
            &[
                ("package.json", r#"{"scripts": {"start": "node src/web"}}"#),
                ("src/web.js", ""),
                ("index.js", EXPRESS),
            ],
            Some((Node, "src/web.js")),
        ),
        (
            "npm init with a server",
            &[("package.json", r#"{"main": "lib/web.js"}"#), ("lib/web.js", EXPRESS)],
            Some((Node, "lib/web.js")),
        ),
        (
            "main is a directory",
            &[("package.json", r#"{"main": "lib"}"#), ("lib/index.js", EXPRESS)],
            Some((Node, "lib/index.js")),
        ),
        (
            "NestJS",
            &[("package.json", r#"{"scripts": {"start": "nest start"}}"#), ("dist/main.js", "")],
            Some((Generic, "nest start")),
        ),
        (
            "a start script that names the file",
            &[("package.json", r#"{"scripts": {"start": "nodemon index.js"}}"#), ("index.js", LIBRARY)],
            Some((Node, "index.js")),
        ),
        (
            "node .",
            &[
                ("package.json", r#"{"main": "lib/a.js", "scripts": {"start": "node ."}}"#),
                ("lib/a.js", ""),
                ("index.js", ""),
            ],
            Some((Node, "lib/a.js")),
        ),
        (
            "another command than the file",
            &[("package.json", r#"{"scripts": {"start": "remix-serve build"}}"#), ("server.js", "")],
            Some((Generic, "remix-serve build")),
        ),
        ("Create React App", &[("package.json", r#"{"scripts": {"start": "react-scripts start"}}"#)], None),
        (
            "a missing file",
            &[("package.json", r#"{"scripts": {"start": "node dist/main.js"}}"#), ("src/main.ts", "")],
            None,
        ),
        ("assets only", &[("package.json", ASSETS), ("index.js", "import './style.css'")], None),
        (
            "Node with Procfile",
            &[("Procfile", "web: node server.js"), ("server.js", "")],
            Some((Node, "server.js")),
        ),
        (
            "express-generator",
            &[
                ("app.js", "module.exports = app"),
                ("package.json", GENERATED),
                ("bin/www", "server.listen(port)"),
            ],
            Some((Node, "bin/www")),
        ),
        (
            "app.js that listens",
            &[
                ("app.js", "app.listen(port)"),
                ("package.json", GENERATED),
                ("bin/www", "server.listen(port)"),
            ],
            Some((Node, "app.js")),
        ),
        (
            "npm start in a Procfile",
            &[("Procfile", "web: npm start"), ("package.json", GENERATED), ("bin/www", EXPRESS)],
            Some((Node, "bin/www")),
        ),
    ]);
}

#[test]
fn builds_of_frameworks_are_found() {
    const NEXT: &str = r#"{"scripts": {"start": "next start"}, "dependencies": {"next": "15"}}"#;
    const NEXT_START: &str = "next start -H 127.0.0.1 -p $PORT";
    check(&[
        ("Next.js", &[("package.json", NEXT), (".next/BUILD_ID", "x")], Some((Generic, NEXT_START))),
        ("Next.js without a build", &[("package.json", NEXT)], Some((Generic, "next start"))),
        (
            "Next.js with a server of its own",
            &[
                (
                    "package.json",
                    r#"{"scripts": {"start": "NODE_ENV=production node server.js"}, "dependencies": {"next": "15"}}"#,
                ),
                (".next/BUILD_ID", "x"),
                ("server.js", ""),
            ],
            Some((Node, "server.js")),
        ),
        (
            "Next.js, standalone",
            &[
                (
                    "package.json",
                    r#"{"scripts": {"start": "node .next/standalone/server.js"}, "dependencies": {"next": "15"}}"#,
                ),
                (".next/BUILD_ID", "x"),
                (".next/standalone/server.js", ""),
            ],
            Some((Node, ".next/standalone/server.js")),
        ),
        (
            "Nuxt",
            &[("package.json", r#"{"scripts": {"start": "nuxt start"}}"#), (".output/server/index.mjs", "")],
            Some((Node, ".output/server/index.mjs")),
        ),
        (".next of something else", &[("package.json", ASSETS), (".next/BUILD_ID", "x")], None),
    ]);
}

#[test]
fn anything_with_a_command_is_found() {
    check(&[
        (
            "Passengerfile.json",
            &[("Passengerfile.json", r#"{"app_start_command": "./run $PORT"}"#), ("config.ru", "")],
            Some((Generic, "./run $PORT")),
        ),
        (
            "without a command",
            &[("Passengerfile.json", r#"{"port": 80}"#), ("app.js", "")],
            Some((Node, "app.js")),
        ),
        ("Procfile", &[("Procfile", "web: ./shop $PORT")], Some((Generic, "./shop $PORT"))),
        ("Procfile of a worker", &[("Procfile", "worker: ./shop")], None),
        ("nothing", &[], None),
        ("a static site", &[("index.html", ""), ("README.md", "")], None),
    ]);
    let app = App::with("pf", &[("Passengerfile.json", r#"{"app_start_command": "./run"}"#)]);
    assert_eq!(detect(&app.0), Ok(Some(Detected::of_command("./run"))), "as in earlier releases");
}

#[test]
fn a_configured_type_limits_the_search() {
    let app = App::with("limited", &[("app.py", FLASK), ("server.js", ""), ("Procfile", "web: x")]);
    let entry = |kind| detect_file(&app.0, kind).entry().value.to_owned();
    assert_eq!(entry(Python), "app.py");
    assert_eq!(entry(Node), "server.js");
    assert_eq!(entry(Ruby), "config.ru");
    let start = App::with("limited2", &[("package.json", r#"{"scripts": {"start": "nest start"}}"#)]);
    assert_eq!(detect_file(&start.0, Node), Detected::configured(Node), "a command is not of this type");
    assert_eq!(detect_file(Path::new("/nonexistent"), Python), Detected::configured(Python));
}

#[test]
fn what_is_not_used_is_reported_with_the_reason() {
    let app = App::with(
        "rejected",
        &[
            ("app.py", "def create_app(): pass"),
            ("Procfile", "worker: x"),
            ("package.json", r#"{"main": "index.js", "scripts": {"start": "vite"}}"#),
            ("index.js", LIBRARY),
        ],
    );
    let rejected = search(&app.0).unwrap().rejected;
    assert_eq!(
        rejected,
        [
            "app.py defines neither \"application\" nor \"app\"",
            "Procfile has no line \"web: COMMAND\"",
            "index.js calls neither listen() nor serve()",
            "\"scripts.start\" of package.json runs vite, which is for development",
        ]
    );
    assert!(candidates().contains(&"manage.py") && candidates().contains(&"config.ru"));
}

#[test]
fn source_in_a_public_directory_is_noticed() {
    for (files, exposed) in [
        (&[("app.py", FLASK)][..], Some("app.py")),
        (&[("config.ru", "")], Some("config.ru")),
        (&[("package.json", ASSETS), ("index.html", "")], Some("package.json")),
        (&[("app.js", ""), ("index.js", ""), ("server.js", ""), ("index.html", "")], None),
        (&[], None),
    ] {
        assert_eq!(exposed_source(&App::with("exposed", files).0), exposed);
    }
}

#[test]
fn a_missing_directory_contains_no_app() {
    assert_eq!(detect(Path::new("/nonexistent/app")), Ok(None));
    assert_eq!(detect(Path::new("/dev/null")), Ok(None));
    assert_eq!(detect(&Path::new("/srv").join("a".repeat(256))), Ok(None), "as nginx answers 404");
}
