"""What `nginx -t` says."""

import world
from stage import DIR, PORT, SOCKET, conf

CONFIGURATION = [
    ("passenger_enabled on;", "passenger_fly_with is not configured"),
    ("server { location / { passenger_status; } }", "passenger_fly_with is not configured"),
    ("server { passenger_status; }", "not allowed here"),
    ("server { location / { passenger_status on; } }", "invalid number of arguments"),
    ("passenger_fly_with /s; server { location / { passenger_status; passenger_status; } }", "is duplicate"),
    ("passenger_fly_with /s; server { location / { passenger_status; proxy_pass http://127.0.0.1:1; } }", "another directive serves"),
    ("passenger_fly_with /s; passenger_fly_with /s;", "duplicate"),
    ("passenger_fly_with nosuch; passenger_enabled on;", 'must be the name of an upstream block'),
    ("passenger_fly_with run/x;", "must be the path of a socket"),
    ("passenger_enabled maybe;", 'must be "on" or "off"'),
    ("passenger_min_instances many;", "invalid value"),
    ("passenger_max_requests -1;", "invalid value"),
    ("passenger_app_env a; rails_env b;", "is duplicate"),
    ("passenger_spawn_method magic;", "must be one of"),
    ("passenger_base_uri blog;", 'must begin with "/"'),
    ("passenger_ignore_headers X-Nothing;", "invalid value"),
    ("passenger_buffers 1 4k;", "at least 2"),
    ("passenger_busy_buffers_size 1k;", "must be equal to or greater"),
    ("passenger_env_var A;", "invalid number of arguments"),
    ('passenger_set_header A "$nosuch";', "unknown"),
    ("server { passenger_max_pool_size 3; }", "not allowed here"),
    ("passenger_max_pool_size many;", "invalid value"),
    ("passenger_max_pool_size 3; passenger_max_pool_size 3;", "is duplicate"),
    ("passenger_turbocaching maybe;", 'must be "on" or "off"'),
    ("passenger_log_level 8;", "must be one of"),
    ("passenger_pre_start shop.example;",
     'invalid value "shop.example" in "passenger_pre_start": must be a URL such as "http://shop.example/path"'),
    ("passenger_pre_start ftp://shop.example/;", 'must begin with "http://", "https://" or "unix:"'),
    ("passenger_pre_start http://shop.example:0/;", "must contain a port between 1 and 65535"),
    ("server { passenger_pre_start http://shop.example/; }", "not allowed here"),
]


def test_an_invalid_configuration_is_refused():
    for text, sentence in CONFIGURATION:
        passed, output = world.nginx.test(conf(f"{text} server {{ listen 127.0.0.1:{PORT}; }}"))
        assert not passed and sentence in output, (text, output)


def test_configurations_of_the_predecessor():
    text = """passenger_root /x; passenger_max_pool_size 3; union_station_key x; passenger_friendly_error_pages off;
        passenger_force_max_concurrent_requests_per_process -1; passenger_temp_path temp/own 1 2;
        passenger_ignore_headers X-Accel-Redirect Set-Cookie; passenger_pass_header X-Accel-Expires;"""
    passed, output = world.nginx.test(conf(f"{text} passenger_fly_with {SOCKET}; server {{ passenger_enabled on; }}"))
    assert passed and '"passenger_root" is obsolete' in output and "max_pool_size" not in output, output


def test_no_daemon_is_needed_to_check():
    passed, output = world.nginx.test(conf("passenger_fly_with unix:/nowhere/s; server { passenger_enabled on; }"))
    assert passed and "warn" not in output, output


def test_an_application_with_the_user_of_nginx_is_a_warning():
    for directive in ("passenger_user", "passenger_group"):
        passed, output = world.nginx.test(conf(f"{directive} root; passenger_fly_with {SOCKET};"))
        assert passed and f'"{directive}" is the user of nginx\'s workers' in output, output
        passed, output = world.nginx.test(conf(f"{directive} games; passenger_fly_with {SOCKET};"))
        assert passed and "warn" not in output, output


# Servers and locations in which each application is recognised by its URL.
PRE_START = f"""
    passenger_fly_with {SOCKET};
    server {{ listen 127.0.0.1:{PORT} default_server; location /off {{ }} root {world.APP}/public;
              location = /on {{ passenger_enabled on; }}
              location /proxied {{ passenger_enabled on; proxy_pass http://127.0.0.1:1; }} }}
    server {{ listen 127.0.0.1:{PORT}; server_name shop.example; passenger_enabled on; root {world.APP}/public;
              location /empty {{ passenger_app_root {DIR}/empty; }}
              location /static {{ passenger_enabled off; }} location ~ \\.cgi$ {{ passenger_enabled off; }}
              location ^~ /static/app {{ }} }}
    server {{ listen 127.0.0.1:{PORT}; server_name *.example; root {world.APP}/public; location / {{ passenger_enabled on; }} }}
    server {{ listen unix:{SOCKET}.nginx; server_name ~^(www|blog)\\.; passenger_enabled on; root /srv/$host/public;
              location /known {{ passenger_app_root {world.APP}; }} }}
"""


def test_a_url_for_no_application_is_a_warning():
    for url, why in [
        (f"http://shop.example:{PORT}/x", None),
        (f"https://shop.example:{PORT}", None),
        (f"http://shop.example:{PORT}/static/app/x.cgi", None),
        (f"http://other.example:{PORT}/x", None),
        (f"http://127.0.0.1:{PORT}/on", None),
        (f"http://unix:{SOCKET}.nginx:/known/x", None),
        ("http://shop.example/", "no server listens on port 80"),
        ("unix:/nowhere", "no server listens on unix:/nowhere"),
        (f"http://me:secret@elsewhere:{PORT}/x", "passenger_enabled is not on in the location that serves it"),
        (f"http://127.0.0.1:{PORT}/off", "passenger_enabled is not on"),
        (f"http://127.0.0.1:{PORT}/on/x", "passenger_enabled is not on"),
        (f"http://127.0.0.1:{PORT}/proxied", "passenger_enabled is not on"),
        (f"http://shop.example:{PORT}/static/x", "passenger_enabled is not on"),
        (f"http://shop.example:{PORT}/x.cgi", "passenger_enabled is not on"),
        (f"http://unix:{SOCKET}.nginx:/", "configure passenger_app_root"),
        (f"http://shop.example:{PORT}/empty/x", f"no application is found in {DIR}/empty; deploy it, or configure passenger_app_type"),
    ]:
        passed, output = world.nginx.test(conf(f"passenger_pre_start {url}; {PRE_START}"))
        assert passed and "secret" not in output, (url, output)
        assert (f"has no effect: {why}" in output or why in output) if why else "warn" not in output, (url, output)


def test_a_server_is_chosen_by_its_name():
    servers = f"""
        passenger_fly_with {SOCKET};
        server {{ listen 127.0.0.1:{PORT} default_server; }}
        server {{ listen 127.0.0.1:{PORT}; server_name ~^www\\d+\\.; root {world.APP}/public; passenger_enabled on; }}
        server {{ listen 127.0.0.1:{PORT}; server_name www1.*; }}"""
    for host, is_app in (("WWW2.example", True), ("www1.example", False), ("www.example", False)):
        passed, output = world.nginx.test(conf(f"passenger_pre_start http://{host}:{PORT}/; {servers}"))
        assert passed and ("warn" not in output) == is_app, (host, output)
