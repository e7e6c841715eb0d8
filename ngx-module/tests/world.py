"""What all tests share: one nginx with one configuration, its log, the daemon, and the apps on disk."""

import os
import shutil
import subprocess

import fake_daemon
from stage import DIR, HAS_PROBE, PORT, SOCKET, Log, Nginx, app, conf, free_port

nginx, log = Nginx(), Log()
# Set before the first test.
daemon: fake_daemon.Daemon
APP = app("app", "config.ru", "public/file.txt", "public/about.html", "public/index.html", "public/dir/")
BLOG = app("blog", "passenger_wsgi.py", "public/style.css")
os.makedirs(f"{DIR}/www", exist_ok=True)
os.symlink(f"{BLOG}/public", f"{DIR}/www/blog")
app("empty")
app("nodeapp", "app.js")
os.makedirs(f"{DIR}/internal", exist_ok=True)
with open(f"{DIR}/internal/file.txt", "w", encoding="utf-8") as file:
    file.write("sent by nginx\n")


os.symlink(SOCKET, f"{DIR}/other.sock")
with open(f"{DIR}/ssi", "w", encoding="utf-8") as file:
    file.write('<!--#include virtual="/x/echo?one" --> and <!--#include virtual="/buffered/unknown" -->\n')


def make_tls():
    """A listening port for TLS and HTTP/2, where there is an openssl to make a certificate."""
    made = shutil.which("openssl") and subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
         "-keyout", f"{DIR}/key.pem", "-out", f"{DIR}/cert.pem"], capture_output=True, check=False).returncode == 0
    if not made:
        return ""
    return f"listen 127.0.0.1:{TLS_PORT} ssl http2; ssl_certificate {DIR}/cert.pem; ssl_certificate_key {DIR}/key.pem;"


TLS_PORT = free_port()
TLS = make_tls()


def site(fly_with, more=""):
    return conf(
        f"""
        upstream spelled {{ server unix:{SOCKET}; keepalive 4; }}
        map $host $missing_app {{ default empty; }}
        passenger_fly_with {fly_with};
        passenger_env_var LANG C; passenger_env_var SHARED http;
        passenger_max_pool_size 3; passenger_user_switching off; passenger_ctl a 1; passenger_ctl b 2;
        passenger_min_instances 2; client_max_body_size 100m; underscores_in_headers on;
        server {{
            listen 127.0.0.1:{PORT}; {TLS}
            root {APP}/public;
            passenger_enabled on; passenger_ruby /usr/bin/ruby; passenger_env_var SHARED server;
            error_page 404 /404-of-nginx; error_page 503 /503-of-nginx;
            location = /404-of-nginx {{ passenger_enabled off; return 200 "no such file"; }}
            location = /503-of-nginx {{ passenger_enabled off; return 200 "nginx's own page"; }}
            location /buffered/ {{ passenger_buffer_response on; }}
            location /unbuffered/ {{ passenger_request_buffering off; }}
            location /small/ {{ client_body_buffer_size 8k; }}
            location /intercept/ {{ passenger_intercept_errors on; }}
            location /spelled/ {{ passenger_fly_with spelled; }}
            location /own/ {{ passenger_fly_with unix:{DIR}/other.sock; }}
            location /off/ {{ passenger_enabled off; }}
            location /slash/ {{ }}
            location /empty/ {{ root {DIR}/$missing_app/public; }}
            location /node {{ passenger_app_root {DIR}/nodeapp; passenger_app_env staging; passenger_app_group_name blue; }}
            location /typed {{ passenger_app_type wsgi; passenger_startup_file app.py; }}
            location /mistyped {{ passenger_app_type fortran; }}
            location /command {{ passenger_app_start_command "./serve $PORT"; }}
            location /blog {{ root {DIR}/www; passenger_base_uri /blog; }}
            location ~ ^/aliased(/.*|$) {{ alias {BLOG}/public$1; passenger_base_uri /aliased;
                passenger_app_root {BLOG}; passenger_document_root {BLOG}/public; }}
            location /sendfile/ {{ sendfile on; client_body_buffer_size 8k; }}
            location /infile/ {{ client_body_in_file_only clean; }}
            location /lingering/ {{ passenger_ignore_client_abort on; }}
            location /ssi {{ ssi on; passenger_enabled off; root {DIR}; default_type text/html; }}
            location /set {{ passenger_set_header X-User "$arg_user"; passenger_set_header Cookie ""; }}
            location /internal/ {{ internal; passenger_enabled off; root {DIR}; }}
            location /rewritten {{ rewrite ^/rewritten/(.*)$ "/a b/$1" break; }}
            location = /status {{ passenger_status; passenger_request_buffering off; }}
            location /patient {{ passenger_read_timeout 300ms; }}
            location /if {{ if ($arg_env) {{ passenger_app_env $arg_env; passenger_app_group_name inside; }} }}
            {more}
        }}"""
    )


PROBES = "".join(
    f"location /panic-{where}/ {{ passenger_panic_in {where}; }}" for where in ("content", "request", "head", "body", "overrun")
)
COUNTED = """
    location /counted/ {
        add_header X-Allocations $passenger_allocations always;
        add_header X-Served "$passenger_app_group $passenger_process_pid $passenger_queue_time $passenger_request_id" always;
        passenger_set_header X-User "$arg_user"; passenger_set_header X-Empty "";
    }
    location /counted-rewritten/ { rewrite ^ "/counted/a b/echo" last; }
"""


def usual_site():
    """The configuration that every test finds."""
    return site(SOCKET, PROBES + COUNTED if HAS_PROBE else "")
