//! The scripts of docs/DEPLOYING.md, carried out: a push deploys, and one whose version does not start changes nothing.

use std::fs;

use test_support::{CleanMachine, Systemd, steps, workspace};

use crate::systemd::can_boot;

const APP: &str = "def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'version NUMBER']
";

const SITE: &str = "/etc/nginx/conf.d/shop.conf";

/// The user's checkout, and the server's repository, as the page says.
const PREPARE: &str = "adduser --system --group --home /srv/shop shop
install -d -o shop -g shop /srv/shop/releases
sudo -u shop -H git init -q --bare --initial-branch=main /srv/shop/repository
sudo -u shop -H git init -q --initial-branch=main /srv/shop/checkout
cd /srv/shop/checkout
sudo -u shop git config user.name test
sudo -u shop git config user.email test@localhost
sudo -u shop touch requirements.txt
sudo -u shop git remote add origin /srv/shop/repository";

#[test]
fn a_push_deploys_and_a_version_that_fails_is_taken_back() {
    let test = "a_push_deploys_and_a_version_that_fails_is_taken_back";
    if !can_boot(test) {
        return;
    }
    let Some(machine) = CleanMachine::boot(test) else { return };
    let read = |page: &str| fs::read_to_string(workspace().join("docs").join(page)).unwrap();
    machine.carry_out("README", &steps(&read("getting-started/README.md")));
    let systemd = machine.systemd();
    systemd.sh("apt-get install -q git python3-venv >/dev/null 2>&1");
    let page = read("DEPLOYING.md");
    systemd.sh(PREPARE);
    for path in ["/usr/local/bin/deploy", "/srv/shop/repository/hooks/post-receive"] {
        systemd.write(path, file_of(&page, path).as_bytes());
        systemd.sh(&format!("chmod 755 {path}"));
    }
    systemd.write(SITE, site_of(&page).as_bytes());

    push(systemd, &version(1));
    systemd.sh("nginx -t 2>&1 && systemctl restart nginx");
    assert_eq!(get(systemd), "version 1");
    let shown = systemd.sh("passenger-status");
    assert!(shown.contains("Code revision"), "{shown}");

    let visitors = machine.visitors("-H 'Host: shop.example.org' http://127.0.0.1/");
    push(systemd, &version(2));
    assert_eq!(get(systemd), "version 2");
    let current = systemd.sh("readlink /srv/shop/current");

    let shown = push(systemd, "raise RuntimeError('it is broken')\n");
    assert!(shown.contains("it is broken"), "the user sees the reason: {shown}");
    assert_eq!(get(systemd), "version 2");
    assert_eq!(systemd.sh("readlink /srv/shop/current"), current, "the link names the old version");

    push(systemd, &version(3));
    assert_eq!(get(systemd), "version 3");
    machine.are_all_served("pushes", visitors);
}

fn version(number: u8) -> String {
    APP.replace("NUMBER", &number.to_string())
}

/// Commits a version and pushes it; returns what the user sees.
fn push(systemd: &Systemd, source: &str) -> String {
    systemd.write("/srv/shop/checkout/passenger_wsgi.py", source.as_bytes());
    systemd.sh("cd /srv/shop/checkout && chown shop: passenger_wsgi.py && sudo -u shop git add . \
        && sudo -u shop git commit -q -m next && sudo -u shop -H git push -q origin main 2>&1")
}

fn get(systemd: &Systemd) -> String {
    systemd.sh("curl -sSf -m 60 -H 'Host: shop.example.org' http://127.0.0.1/")
}

/// The contents of a file that a page shows; the paragraph before it ends in its path.
fn file_of(page: &str, path: &str) -> String {
    let after = page.split(&format!("`{path}`")).nth(1).expect("the page shows the file");
    let block = &after[after.find("```bash\n").expect("a block follows")..];
    block.lines().skip(1).take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect()
}

/// The `server` block of a page.
fn site_of(page: &str) -> String {
    let block = page.split("```nginx\nserver {").nth(1).and_then(|rest| rest.split("```").next());
    format!("server {{{}", block.expect("the page shows a site"))
}
