"""What `nginx -t` says."""

import world
from stage import PORT, SOCKET, conf

CONFIGURATION = [
    ("passenger_enabled on;", "no passenger_fly_with"),
    ("server { location / { passenger_status; } }", "no passenger_fly_with"),
    ("server { passenger_status; }", "not allowed here"),
    ("server { location / { passenger_status on; } }", "invalid number of arguments"),
    ("passenger_fly_with /s; server { location / { passenger_status; passenger_status; } }", "is duplicate"),
    ("passenger_fly_with /s; server { location / { passenger_status; proxy_pass http://127.0.0.1:1; } }", "another directive serves"),
    ("passenger_fly_with /s; passenger_fly_with /s;", "duplicate"),
    ("passenger_fly_with nosuch; passenger_enabled on;", 'no such block'),
    ("passenger_fly_with run/x;", "neither the path of a socket"),
    ("passenger_enabled maybe;", 'it must be "on" or "off"'),
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
    ("passenger_turbocaching maybe;", 'it must be "on" or "off"'),
    ("passenger_log_level 8;", "must be one of"),
    ("passenger_pre_start shop.example;", 'is no URL: it is written as in "http://shop.example/path"'),
    ("passenger_pre_start ftp://shop.example/;", "use http or https"),
    ("passenger_pre_start http://shop.example:0/;", "is no port"),
    ("server { passenger_pre_start http://shop.example/; }", "not allowed here"),
]


def test_mistakes_in_the_configuration():
    for text, sentence in CONFIGURATION:
        passed, said = world.nginx.test(conf(f"{text} server {{ listen 127.0.0.1:{PORT}; }}"))
        assert not passed and sentence in said, (text, said)


def test_configurations_of_the_predecessor():
    text = """passenger_root /x; passenger_max_pool_size 3; union_station_key x; passenger_friendly_error_pages off;
        passenger_force_max_concurrent_requests_per_process -1; passenger_temp_path temp/own 1 2;
        passenger_ignore_headers X-Accel-Redirect Set-Cookie; passenger_pass_header X-Accel-Expires;"""
    passed, said = world.nginx.test(conf(f"{text} passenger_fly_with {SOCKET}; server {{ passenger_enabled on; }}"))
    assert passed and '"passenger_root" is obsolete' in said and "max_pool_size" not in said, said


def test_no_daemon_is_needed_to_check():
    passed, said = world.nginx.test(conf("passenger_fly_with unix:/nowhere/s; server { passenger_enabled on; }"))
    assert passed and "warn" not in said, said


def test_an_application_with_the_user_of_nginx_is_a_warning():
    for directive in ("passenger_user", "passenger_group"):
        passed, said = world.nginx.test(conf(f"{directive} root; passenger_fly_with {SOCKET};"))
        assert passed and f'"{directive}" is the user of nginx\'s workers' in said, said
        passed, said = world.nginx.test(conf(f"{directive} games; passenger_fly_with {SOCKET};"))
        assert passed and "warn" not in said, said
