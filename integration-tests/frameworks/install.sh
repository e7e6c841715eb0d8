#!/bin/sh
# Installs the frameworks that tests run: Debian's for Ruby and Python, npm's below target/frameworks. Idempotent, and
# quick when all is there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=${FLYING_PASSENGER_FRAMEWORKS_DIR:-$here/../../target/frameworks}

# Rails without the `rails` package, which wants Debian's nodejs: railties, and what it depends on, is a whole Rails app
# without a database.
packages="nginx-light ruby ruby-rack ruby-sinatra ruby-railties ruby-activemodel puma python3 python3-venv python3-flask python3-django python3-fastapi wrk"
# What the Ruby gallery uses beside Rails and Sinatra.
packages="$packages ruby-activestorage ruby-actioncable ruby-faye-websocket"
# The browser that looks at the status page.
packages="$packages chromium chromium-driver fonts-dejavu-core"
# What the tests under systemd and runit need.
packages="$packages systemd iproute2 binutils debootstrap runit logrotate apt-utils gnupg"
# What reads the manual and the shell completions.
packages="$packages make man-db groff-base mandoc bash zsh fish"
# What Debian's Redmine depends on, with SQLite; redmine.sh says why the package itself is not installed.
packages="$packages rake ruby-bundler ruby-rails ruby-sqlite3 ruby-actionpack-action-caching ruby-actionpack-xml-parser
    ruby-addressable ruby-coderay ruby-commonmarker ruby-task-list ruby-html-pipeline ruby-i18n ruby-jquery-rails
    ruby-mail ruby-marcel ruby-mini-magick ruby-mini-mime ruby-mocha ruby-net-ldap ruby-nokogiri ruby-rack-test
    ruby-rails-dom-testing ruby-rails-observers ruby-rbpdf ruby-redcarpet ruby-request-store ruby-roadie
    ruby-roadie-rails ruby-rotp ruby-rouge ruby-rqrcode ruby-sanitize ruby-zip libjs-chart.js libjs-jquery
    libjs-jquery-ui libjs-raphael"
# What the generic applications of generic.sh need.
packages="$packages python3-venv php-cli golang-go"
# The web servers in front of the gate; fronts.sh installs the others. apache2-bin has the program without a service.
packages="$packages apache2-bin haproxy"

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
done
if ! command -v node >/dev/null; then missing="$missing nodejs"; fi
if ! command -v javac >/dev/null; then missing="$missing default-jdk-headless"; fi
if ! command -v npm >/dev/null; then missing="$missing npm"; fi
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then root=; else root=sudo; fi
    echo "installing$missing"
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -q && apt-get install -y -q --no-install-recommends "$@"' \
        install $missing
fi

mkdir -p "$target/node"
if ! cmp -s "$here/package-lock.json" "$target/node/installed.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$target/node/"
    (cd "$target/node" && npm ci --no-audit --no-fund --loglevel=error)
    cp "$here/package-lock.json" "$target/node/installed.json"
    rm -rf "$target/node/next"
fi
# Built once, as `next build` needs ten seconds or more. The result serves without what it was built by.
if ! diff -r "$here/next" "$target/node/next/source" >/dev/null 2>&1; then
    rm -rf "$target/node/next"
    cp -r "$here/next" "$target/node/next"
    (cd "$target/node/next" && NEXT_TELEMETRY_DISABLED=1 ../node_modules/.bin/next build >build.log 2>&1) || {
        cat "$target/node/next/build.log"
        exit 1
    }
    # As the documentation of `output: 'standalone'` says.
    cp -r "$target/node/next/public" "$target/node/next/.next/standalone/next/"
    cp -r "$target/node/next/.next/static" "$target/node/next/.next/standalone/next/.next/"
    cp -r "$here/next" "$target/node/next/source"
fi
"$here/redmine.sh" "$target"
"$here/generic.sh" "$target"
"$here/python.sh" "$target"
"$here/fronts.sh" "$target"
