//! Output of apps in systemd's journal, under their names.

use test_support::eventually;

use crate::systemd::{Machine, can_boot};

const APP: &str = "import os, sys
print('loaded', file=sys.stderr, flush=True)

def application(environ, start_response):
    print('asked for ' + environ['PATH_INFO'], file=sys.stderr, flush=True)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d %d\\n' % (os.getpid(), os.getuid())]
";

#[test]
fn the_journal_has_the_apps_name_with_its_output() {
    if !can_boot("the_journal_has_the_apps_name_with_its_output") {
        return;
    }
    let machine = Machine::with_site();
    machine.write("/srv/shop/passenger_wsgi.py", APP);
    machine.sh("systemctl restart flying-passenger");
    let (pid, _) = machine.answer();
    eventually("the journal has the line", || {
        machine.sh("journalctl -q -o cat -t shop").contains(&format!("App {pid} output: asked for /"))
    });
    let fields = machine.sh(&format!("journalctl -q -o export PASSENGER_APP_PID={pid}"));
    assert!(fields.contains("PASSENGER_APP_GROUP_NAME=/srv/shop (production)"), "{fields}");
    assert!(fields.contains("MESSAGE=App ") && fields.contains("loaded"), "{fields}");
    let own = machine.sh("journalctl -q -o cat -u flying-passenger.service -t flying-passenger");
    assert!(own.contains("up and listening") && !own.contains("asked for"), "{own}");
    assert_eq!(
        machine.sh("journalctl -q -o cat -p err -u flying-passenger.service"),
        "",
        "priorities are right"
    );
}
