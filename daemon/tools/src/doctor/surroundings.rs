//! Problems outside of the app, which keep visitors from it whatever it does. The most decisive one comes first.

use std::path::Path;

use diagnosis::{Code, Diagnosis};

use super::app::TestedApp;
use super::nginx_access::closed_to_nginx;
use crate::client::Client;
use crate::instances;

/// Returns the problems around the app.
pub(super) fn problems(app: &TestedApp) -> Vec<Diagnosis> {
    let refusal = app.refusal.clone().map(refused);
    let found = [no_daemon(), closed_to_nginx(&app.root), refusal, no_public_directory(&app.root)];
    found.into_iter().flatten().collect()
}

/// Returns the problem with the running daemon: there is none, or none answers.
pub(super) fn no_daemon() -> Option<Diagnosis> {
    let all = instances();
    let Some(first) = all.first() else {
        return Some(Diagnosis::new(
            Code::NoDaemon,
            "no daemon is running: nginx answers visitors of all apps with 502",
            "Start it: systemctl start flying-passenger. Where systemd does not manage it: flying-passenger --socket-file \
             with the path that passenger_fly_with names in nginx.conf.",
        ));
    };
    let answers = all.iter().any(|found| Client::new(found).get_json("/ping.json").is_ok());
    let silent = || {
        Diagnosis::new(
            Code::NoDaemon,
            format!("the daemon with PID {} does not answer", first.properties.pid),
            "Read its log: journalctl -u flying-passenger, or the file of --log-file. Restart it: systemctl restart \
             flying-passenger.",
        )
    };
    (!answers).then(silent)
}

fn refused(why: String) -> Diagnosis {
    Diagnosis::new(
        Code::Other,
        why,
        "Give the app a user of its own: change the owner of its startup file, or specify passenger_user.",
    )
}

/// nginx sends every file below its root: without `public`, many name the app's own directory.
fn no_public_directory(root: &Path) -> Option<Diagnosis> {
    let missing = || {
        let root = root.display();
        Diagnosis::new(
            Code::Other,
            format!(
                "{root} has no directory \"public\": if nginx's root is {root} itself, visitors can read the app's source"
            ),
            format!("Run: mkdir {root}/public. In nginx.conf: root {root}/public;"),
        )
    };
    (!root.join("public").is_dir()).then(missing)
}
