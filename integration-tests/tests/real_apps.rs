//! Whole applications in use: somebody logs in, uploads and downloads while the app is restarted rolling.

use std::collections::BTreeSet;

use stage::{App, Browser, Form, Load, Request, Scene, eventually_some, is_root, redmine};

/// More than fits into one buffer of anybody, with every byte in it.
pub(crate) fn upload() -> Vec<u8> {
    (0..300_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// An app with two processes.
pub(crate) fn two_processes_of(lines: &str, fill: impl FnOnce(App) -> App) -> Scene {
    let fill = |app| {
        let app = fill(app);
        if is_root() { app.owned_by("games") } else { app }
    };
    let lines = format!("passenger_min_instances 2; {lines}");
    Scene::set(&lines, |daemon| daemon.flag("--max-pool-size=2"), fill)
}

/// The PIDs of both.
#[track_caller]
pub(crate) fn both(scene: &Scene) -> BTreeSet<u32> {
    eventually_some("two processes serve", || {
        let pids: BTreeSet<u32> = scene.daemon.app_pids().into_iter().collect();
        (pids.len() == 2).then_some(pids)
    })
}

/// Restarts the app, one process after the other, while somebody who is logged in keeps asking for `page`, which others
/// are not shown.
#[track_caller]
pub(crate) fn restarts_while_used(scene: &Scene, browser: &Browser, page: &str) {
    assert_ne!(scene.nginx.get(page).status(), 200, "a page for those who are logged in");
    restarts_under_load(scene, &browser.with_cookies(Request::get(page)));
}

/// Restarts the app, one process after the other, while `request` is made again and again. Returns how often.
#[track_caller]
pub(crate) fn restarts_under_load(scene: &Scene, request: &Request) -> usize {
    let before = both(scene);
    let load = Load::of(scene.nginx.port(), request, 3);
    load.let_pass(20);
    let dir = scene.app.dir().to_str().unwrap();
    let args = ["restart-app", dir, "--rolling-restart", "--wait", "--timeout=300"];
    let output = scene.daemon.tool("passenger-config", &args);
    assert!(output.status.success(), "{output:?}");
    load.let_pass(20);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    assert!(both(scene).is_disjoint(&before), "every process is new");
    report.answered
}

#[test]
fn redmine_is_used_while_it_is_restarted() {
    let scene = two_processes_of("passenger_spawn_method smart;", |app| {
        redmine(app.dir());
        app
    });
    let mut browser = Browser::at(scene.nginx.port());
    let sheet = scene.nginx.get("/stylesheets/application.css").expect(200);
    assert_eq!(sheet.header("X-Runtime"), None, "a file of nginx");
    logs_in(&mut browser);
    reports_an_issue(&mut browser);
    restarts_while_used(&scene, &browser, "/my/page");
    assert!(browser.get("/issues/1").expect(200).text().contains("Grüße"));
    assert!(browser.get(ATTACHMENT).expect(200).body == upload());
}

/// What Rails hides in its forms.
const TOKEN: &str = "authenticity_token";

const ATTACHMENT: &str = "/attachments/download/1/all%20bytes.bin";

/// As the administrator, whose first password has to be changed.
#[track_caller]
fn logs_in(browser: &mut Browser) {
    let page = browser.opens("/login");
    let login = Form::on(&page, TOKEN).with("username", "admin").with("password", "admin");
    let page = browser.submits("/login", &login);
    assert!(page.text().contains("new_password_confirmation"), "{}", page.text());
    let (old, new) = ("admin", "by the river 7");
    let change = Form::on(&page, TOKEN).with("password", old).with("new_password", new);
    browser.submits("/my/password", &change.with("new_password_confirmation", new));
}

/// In a project of its own, with a file.
#[track_caller]
fn reports_an_issue(browser: &mut Browser) {
    let page = browser.get("/projects/new").expect(200);
    let project = Form::on(&page, TOKEN).with("project[name]", "Shop").with("project[identifier]", "shop");
    let project = project.with("project[tracker_ids][]", "1");
    browser.submits("/projects", &project.with("project[enabled_module_names][]", "issue_tracking"));

    let page = browser.get("/projects/shop/issues/new").expect(200);
    let issue = Form::on(&page, TOKEN).with("issue[tracker_id]", "1").with("issue[subject]", "Grüße");
    let issue = issue.with("issue[priority_id]", "2");
    let issue = issue.with_file("attachments[1][file]", "all bytes.bin", &upload());
    let page = browser.submits("/projects/shop/issues", &issue);
    assert!(page.text().contains("Grüße") && page.text().contains("all bytes.bin"), "{}", page.text());
    assert!(browser.get(ATTACHMENT).expect(200).body == upload());
}
