#!/usr/bin/env python3
"""How long the first four processes of an app take to start, and what memory they need: started directly, and smartly.

Debian's Rails and Django, one run for each method and number of processes, with a daemon and an nginx of its own. Times
are those of the daemon's log, from the wish for a process to its readiness; memory is PSS of all processes of the app,
with the preloader, after each process has answered requests.
"""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from datetime import datetime
from pathlib import Path

from measure.processes import pss_mib
from measure.stage import Stage, free_port
from servers.ours import daemon_of

MOST = 4
METHODS = ("direct", "smart")

GEMFILE = "source 'https://rubygems.org'\ngem 'railties'\ngem 'activemodel'\n"
LOCK = "require 'bundler'; require 'bundler/cli'; Bundler::CLI.start(%w[lock --local])"
RAILS_NEW = ["rails", "new", ".", "--force", "--minimal", "--skip-bundle", "--skip-active-record", "--skip-git",
             "--skip-test", "--skip-sprockets"]
CONTROLLER = "class HelloController < ApplicationController\n  def index = render(plain: 'hello world')\nend\n"
DJANGO = """
import django, django.conf, django.urls, django.http
import django.contrib.auth, django.forms, django.template, django.views.generic
django.conf.settings.configure(
    SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
urlpatterns = [django.urls.path("", lambda request: django.http.HttpResponse("hello world\\n"))]
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


def rails(root):
    """A Rails app without a database: what Debian has without its `rails` package."""
    subprocess.run(RAILS_NEW, cwd=root, check=True, stdout=subprocess.DEVNULL)
    (root / "Gemfile").write_text(GEMFILE)
    subprocess.run(["ruby", "-e", LOCK], cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (root / "config/routes.rb").write_text("Rails.application.routes.draw { root to: 'hello#index' }")
    (root / "app/controllers/hello_controller.rb").write_text(CONTROLLER)


def django(root):
    """Django in one file."""
    (root / "passenger_wsgi.py").write_text(DJANGO)


def run(make, method, count):
    """Start times of `count` processes in ms, and what they need together in MiB."""
    with Stage() as stage:
        root = stage.dir / "app"
        (root / "public").mkdir(parents=True)
        make(root)
        subprocess.run(["chmod", "-R", "a+rwX", root], check=True)
        listen, daemon = daemon_of(stage)
        port = free_port()
        stage.start_nginx(
            f"server {{ listen 127.0.0.1:{port}; root {root}/public; passenger_enabled on; "
            f"passenger_fly_with {listen}; passenger_min_instances {count}; passenger_max_instances {count}; "
            f"passenger_spawn_method {method}; passenger_env_var SECRET_KEY_BASE 0123456789abcdef; }}"
        )
        url = f"http://127.0.0.1:{port}/"
        stage.eventually("an answer", lambda: answers(url))
        stage.eventually(f"{count} processes", lambda: stage.processes_in_status(root) == count)
        load(url)
        return times((stage.dir / "ours.log").read_text(), count), pss_mib(processes_in(root, daemon))


def answers(url):
    """Whether it says hello."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read().startswith(b"hello world")
    except OSError:
        return False


def load(url):
    """Requests on several connections at a time, so that each process gets some."""
    wrk = shutil.which("wrk") or sys.exit("wrk is missing: apt: wrk")
    subprocess.run([wrk, "-t1", f"-c{MOST * 2}", "-d1", url], check=True, stdout=subprocess.DEVNULL)


def processes_in(root, daemon):
    """Every process in this directory: the app's, and its preloader."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != daemon:
            try:
                if Path(f"/proc/{entry}/cwd").resolve() == root:
                    found.append(int(entry))
            except OSError:
                continue
    return found


def times(log, count):
    """Milliseconds from each wish for a process to its readiness; they are started one after the other."""
    stamp = r"\[ \S+ (\S+ \S+) .*"
    began = [moment(found) for found in re.findall(stamp + r"starting a process", log)]
    ready = [moment(found) for found in re.findall(stamp + r"process \d+ is ready", log)]
    return [(after - before).total_seconds() * 1000 for before, after in zip(began, ready)][:count]


def moment(text):
    """A time of the log."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f")


def main():
    """One table."""
    print("| app | method | start of process 1, 2, 3, 4 (ms) | PSS of 1, 2, 3, 4 processes together (MiB) |")
    print("| --- | --- | --- | --- |")
    for make in (rails, django):
        for method in METHODS:
            runs = [run(make, method, count) for count in range(1, MOST + 1)]
            starts = ", ".join(f"{value:.0f}" for value in runs[-1][0])
            memory = ", ".join(f"{pss:.0f}" for _, pss in runs)
            print(f"| {make.__name__} | {method} | {starts} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
