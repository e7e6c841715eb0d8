//! Unmodified frameworks behind nginx and the daemon.

use std::process::Command;

use test_support::{App, OneApp, node_modules, require_debian_package, run};

#[test]
fn sinatra() {
    require_debian_package("ruby-sinatra", "/usr/share/doc/ruby-sinatra");
    let ruby = r##"
        require 'sinatra/base'
        class Shop < Sinatra::Base
          enable :sessions
          set :session_secret, 'x' * 64
          get('/') { "hello from sinatra #{Sinatra::VERSION}" }
          get('/count') { session[:count] = (session[:count] || 0) + 1; session[:count].to_s }
          post('/form') { "#{params[:name]} is #{params[:age]}" }
          get('/stream') { stream { |out| out << 'a'; out << 'b' } }
          get('/say/*') { params[:splat].first }
        end
        run Shop
    "##;
    let setup = OneApp::app("passenger_app_env production;", |app| app.ruby(ruby));
    assert!(setup.nginx.get("/").expect(200).text().starts_with("hello from sinatra"));
    assert_eq!(setup.nginx.get("/stream").expect(200).text(), "ab");
    for (sent, received) in [("a%20b", "a b"), ("%C3%A9", "é"), ("a%2Fb", "a/b")] {
        assert_eq!(setup.nginx.get(&format!("/say/{sent}")).expect(200).text(), received);
    }
    let form = test_support::Request::post("/form", "name=Ann&age=41")
        .header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(setup.nginx.send(form).expect(200).text(), "Ann is 41");
    let first = setup.nginx.get("/count").expect(200);
    let cookie = first.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let second = setup.nginx.send(test_support::Request::get("/count").header("Cookie", &cookie)).expect(200);
    assert_eq!((first.text().as_str(), second.text().as_str()), ("1", "2"));
}

#[test]
fn rails() {
    let lines =
        "passenger_env_var SECRET_KEY_BASE 0123456789abcdef; passenger_env_var RAILS_LOG_TO_STDOUT 1;";
    let setup = OneApp::app(lines, rails_app);
    let response = setup.nginx.get("/").expect(200);
    assert!(response.text().starts_with("hello from rails "), "{}", response.text());
    assert!(response.text().ends_with(" / production"), "{}", response.text());
    assert_eq!(setup.nginx.get("/robots.txt").expect(200).header("X-Request-Id"), None, "a file of nginx");
    let form =
        test_support::Request::post("/form", r#"{"name":"Ann"}"#).header("Content-Type", "application/json");
    assert_eq!(setup.nginx.send(form).expect(200).json()["name"], "Ann");
    assert_eq!(setup.nginx.get("/none").status(), 404);
}

#[test]
fn flask() {
    require_debian_package("python3-flask", "/usr/share/doc/python3-flask");
    let python = r#"
from flask import Flask, Response, jsonify, request
application = Flask(__name__)

@application.route("/")
def hello():
    return "hello from flask"

@application.route("/upload", methods=["POST"])
def upload():
    return jsonify(name=request.files["file"].filename, size=len(request.files["file"].read()), url=request.url)

@application.route("/stream")
def stream():
    return Response((str(n) for n in range(5)), mimetype="text/plain")
"#;
    let setup = OneApp::app("passenger_python /usr/bin/python3;", |app| app.python(python));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "hello from flask");
    assert_eq!(setup.nginx.get("/stream").expect(200).text(), "01234");
    let body =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n12345\r\n--b--\r\n";
    let upload = test_support::Request::post("/upload", body)
        .header("Content-Type", "multipart/form-data; boundary=b");
    let json = setup.nginx.send(upload.header("Host", "shop.test:81")).expect(200).json();
    assert_eq!((json["name"].as_str(), json["size"].as_u64()), (Some("a.txt"), Some(5)));
    assert_eq!(json["url"], "http://shop.test:81/upload");
}

#[test]
fn django_with_its_admin_page_and_static_files() {
    require_debian_package("python3-django", "/usr/share/doc/python3-django");
    let manage =
        |app: &App, args: &[&str]| run(Command::new("/usr/bin/python3").args(args).current_dir(app.dir()));
    let generated = |app: App| {
        manage(&app, &["-m", "django", "startproject", "shop", "."]);
        let settings = std::fs::read_to_string(app.path("shop/settings.py")).unwrap();
        let more = "\nDEBUG = False\nALLOWED_HOSTS = ['*']\nSTATIC_ROOT = BASE_DIR / 'public/static'\n";
        app.write("shop/settings.py", settings + more);
        manage(&app, &["manage.py", "collectstatic", "--noinput"]);
        manage(&app, &["manage.py", "migrate"]);
        app.python("from shop.wsgi import application\n")
    };
    let lines = "passenger_python /usr/bin/python3; types { text/css css; }";
    let setup = OneApp::app(lines, generated);
    let moved = setup.nginx.get("/admin/");
    assert_eq!((moved.status(), moved.header("Location")), (302, Some("/admin/login/?next=/admin/")));
    let page = setup.nginx.get("/admin/login/?next=/admin/").expect(200);
    assert!(page.text().contains("Django administration"), "{}", page.text());
    assert!(page.header("Set-Cookie").is_some_and(|cookie| cookie.starts_with("csrftoken=")));
    let sheet = setup.nginx.get("/static/admin/css/base.css").expect(200);
    assert_eq!(sheet.header("Content-Type"), Some("text/css"), "a file of nginx");
    assert_eq!(setup.nginx.get("/none").status(), 404);
}

#[test]
fn express() {
    let node = r#"
        const express = require('express');
        const app = express();
        app.use(express.json());
        app.get('/', (req, res) => res.send('hello from express'));
        app.post('/double', (req, res) => res.json({ twice: req.body.number * 2 }));
        app.listen(3000);
    "#;
    let setup = OneApp::app("", |app| with_modules(app.node(node)));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "hello from express");
    let double = test_support::Request::post("/double", r#"{"number": 21}"#)
        .header("Content-Type", "application/json");
    assert_eq!(setup.nginx.send(double).expect(200).json()["twice"], 42);
}

#[test]
fn ws_echo() {
    let node = r#"
        const server = require('http').createServer((req, res) => res.end('http'));
        const { WebSocketServer } = require('ws');
        new WebSocketServer({ server }).on('connection', (socket) => {
          socket.on('message', (message, binary) => socket.send(message, { binary }));
        });
        server.listen();
    "#;
    let client = r#"
        const assert = require('assert');
        const { WebSocket } = require('ws');
        const socket = new WebSocket(`ws://127.0.0.1:${process.argv[2]}/chat`);
        const big = Buffer.alloc(300000, 7);
        socket.on('open', () => { socket.send('hello'); socket.send(big); });
        const answers = [];
        socket.on('message', (message) => {
          answers.push(message);
          if (answers.length < 2) return;
          assert.equal(String(answers[0]), 'hello');
          assert.ok(big.equals(answers[1]));
          socket.close();
        });
        socket.on('close', () => console.log('echoed'));
    "#;
    assert_eq!(talks(node, client), "echoed\n");
}

#[test]
fn socket_io_echo() {
    let node = r#"
        const server = require('http').createServer();
        const { Server } = require('socket.io');
        new Server(server).on('connection', (socket) => socket.on('echo', (text, answer) => answer(text)));
        server.listen(3000);
    "#;
    let client = r#"
        const { io } = require('socket.io-client');
        // Begins with long polling, then upgrades.
        const socket = io(`http://127.0.0.1:${process.argv[2]}`);
        socket.io.engine.on('upgrade', () => {
          socket.emit('echo', 'by websocket', (text) => { console.log(text); socket.close(); });
        });
    "#;
    assert_eq!(talks(node, client), "by websocket\n");
}

#[test]
fn pythons_own_file_server() {
    let lines = r#"passenger_app_start_command "python3 -m http.server $PORT --bind 127.0.0.1";"#;
    let setup = OneApp::app(lines, |app| app.file("data.txt", "a file by python"));
    assert_eq!(setup.nginx.get("/data.txt").expect(200).text(), "a file by python");
    assert_eq!(setup.nginx.get("/none.txt").status(), 404);
}

#[test]
fn puma_as_a_generic_app() {
    require_debian_package("puma", "/usr/bin/puma");
    let lines = r#"passenger_app_start_command "puma -b tcp://127.0.0.1:$PORT";"#;
    let setup = OneApp::app(lines, |app| app.standard(test_support::Language::Ruby));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "hello from ruby\n");
    assert_eq!(
        setup.nginx.send(test_support::Request::post("/echo", "by puma")).expect(200).text(),
        "by puma"
    );
}

/// A new Rails app, as its generator makes it, with one controller.
pub(crate) fn rails_app(app: App) -> App {
    require_debian_package("ruby-railties", "/usr/bin/rails");
    require_debian_package("ruby-activemodel", "/usr/share/doc/ruby-activemodel");
    run(Command::new("rails")
        .args(["new", ".", "--force", "--minimal", "--skip-bundle", "--skip-active-record"])
        .args(["--skip-git", "--skip-test", "--skip-sprockets"])
        .current_dir(app.dir()));
    // What Debian has of Rails without its `rails` package; locked, as an app's user cannot write the lock file.
    app.write("Gemfile", "source 'https://rubygems.org'\ngem 'railties'\ngem 'activemodel'\n");
    let lock = "require 'bundler'; require 'bundler/cli'; Bundler::CLI.start(%w[lock --local])";
    run(Command::new("ruby").args(["-e", lock]).current_dir(app.dir()));
    app.write(
        "config/routes.rb",
        "Rails.application.routes.draw { root to: 'hello#index'; post '/form', to: 'hello#form' }",
    );
    app.write(
        "app/controllers/hello_controller.rb",
        r##"
            class HelloController < ApplicationController
              skip_forgery_protection
              def index = render(plain: "hello from rails #{Rails.version} #{root_path} #{Rails.env}")
              def form = render(json: { name: params[:name] })
            end
        "##,
    );
    app
}

pub(crate) fn with_modules(app: App) -> App {
    node_modules(app.dir());
    app
}

/// Runs `client` in Node.js against an app, and gives what it printed.
fn talks(app: &str, client: &str) -> String {
    let setup = OneApp::app("", |dir| with_modules(dir.node(app)).file("client.js", client));
    let port = setup.nginx.port().to_string();
    run(Command::new("timeout").args(["30", "node", "client.js", &port]).current_dir(setup.app.dir()))
}
