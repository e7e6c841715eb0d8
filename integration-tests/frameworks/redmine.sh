#!/bin/sh
# Prepares a Redmine for tests below the directory given: Debian's, unpacked, with a new SQLite database and Redmine's
# default data in it. Quick when it is there. Its dependencies are installed already (install.sh).
#
# The package is unpacked rather than installed: configuring it runs `bundle install --local`, which fails with the
# Bundler of Debian's current Ruby, and an app's user could not write its directories.
set -eu

dir=$(cd "$1" && pwd)
target=$dir/redmine
# Its lock file has the versions of the installed gems.
gems=$(dpkg-query -W 'ruby*' | cksum)
if [ "$(cat "$target/prepared" 2>/dev/null)" = "$gems" ]; then exit 0; fi

if [ "$(id -u)" = 0 ]; then root=; else root=sudo; fi
apt-cache show redmine >/dev/null 2>&1 || $root apt-get update -q

echo "preparing Redmine"
work=$(mktemp -d "$dir/redmine.XXXXXX")
trap 'rm -rf "$work"' EXIT
# As root, apt would rather download as another user, who cannot write here.
(cd "$work" && apt-get -o APT::Sandbox::User=root download -q redmine && dpkg-deb -x redmine_*.deb .)
app=$work/usr/share/redmine
cd "$app"

# Links into other packages become files, links to the system's configuration make room for our own.
find public -type l | while read -r link; do
    file=$(realpath -m "/usr/share/redmine/$(dirname "$link")/$(readlink "$link")")
    cp --remove-destination "$file" "$link"
done
rm Gemfile.lock config/database.yml instances

instance=instances/default
for dir in config db files log tmp public/plugin_assets; do mkdir -p "$instance/$dir"; done
mkdir -p tmp
cat > "$instance/config/database.yml" <<YAML
production:
  adapter: sqlite3
  database: $instance/db/production.sqlite3
  timeout: 20000
YAML
echo 0123456789abcdef0123456789abcdef > "$instance/config/secret_key.txt"
# Its Gemfile looks for databases at /usr/share/redmine only.
echo "gem 'sqlite3'" > Gemfile.local

export BUNDLE_GEMFILE="$app/Gemfile" RAILS_ENV=production REDMINE_LANG=en SCHEMA=/dev/null
{
    ruby -e "require 'bundler'; require 'bundler/cli'; Bundler::CLI.start(%w[lock --local])"
    rake db:migrate
    rake redmine:load_default_data # a run of its own, as it needs the tables' final form
} > "$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; exit 1; }

rm -f "$instance/log/production.log"
echo "$gems" > prepared
rm -rf "$target"
mv "$app" "$target"
chmod -R a+rX "$target"
