//! Debian's Redmine in use: forms, attachments, search, wiki and REST API, with names beyond ASCII.

use test_support::{Browser, Form, OneApp, Request, redmine};

use crate::real_apps::{restarts_while_used, two_processes_of, upload};

/// What Rails hides in its forms.
const TOKEN: &str = "authenticity_token";

const ATTACHMENT: &str = "/attachments/download/1/a%20b%20%C3%A9.bin";

/// A Redmine whose administrator is logged in.
fn used() -> (OneApp, Browser) {
    let setup = two_processes_of("passenger_spawn_method smart;", |app| {
        redmine(app.dir());
        app
    });
    let mut browser = Browser::at(setup.nginx.port());
    logs_in(&mut browser);
    (setup, browser)
}

#[test]
fn redmine_is_used_while_it_is_restarted() {
    let (setup, mut browser) = used();
    let sheet = setup.nginx.get("/stylesheets/application.css").expect(200);
    assert_eq!(sheet.header("X-Runtime"), None, "a file of nginx");
    creates_a_project(&mut browser);
    reports_an_issue(&mut browser);
    restarts_while_used(&setup, &browser, "/my/page");
    assert!(browser.get("/issues/1").expect(200).text().contains("Grüße"));
    assert!(browser.get(ATTACHMENT).expect(200).body == upload());
}

#[test]
fn redmines_attachments_search_wiki_and_api() {
    let (setup, mut browser) = used();
    creates_a_project(&mut browser);
    reports_an_issue(&mut browser);
    downloads_the_attachment(&setup, &mut browser);
    finds_the_issue(&mut browser);
    writes_a_wiki_page(&setup, &mut browser);
    let key = opens_the_api(&mut browser);
    uses_the_api(&setup, &key);
    uploads_by_the_api(&setup, &key);
}

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

#[track_caller]
fn creates_a_project(browser: &mut Browser) {
    let page = browser.get("/projects/new").expect(200);
    let project = Form::on(&page, TOKEN).with("project[name]", "Café & Söhne");
    let project = project.with("project[identifier]", "shop").with("project[tracker_ids][]", "1");
    let project = project.with("project[enabled_module_names][]", "issue_tracking");
    browser.submits("/projects", &project.with("project[enabled_module_names][]", "wiki"));
    assert!(browser.get("/projects/shop").expect(200).text().contains("Café &amp; Söhne"));
}

/// With a file.
#[track_caller]
fn reports_an_issue(browser: &mut Browser) {
    let page = browser.get("/projects/shop/issues/new").expect(200);
    let issue = Form::on(&page, TOKEN).with("issue[tracker_id]", "1").with("issue[subject]", "Grüße");
    let issue = issue.with("issue[priority_id]", "2").with("issue[description]", "日本語 *für* alle");
    let issue = issue.with_file("attachments[1][file]", "a b é.bin", &upload());
    let page = browser.submits("/projects/shop/issues", &issue);
    assert!(page.text().contains("Grüße") && page.text().contains("日本語"), "{}", page.text());
    assert!(page.text().contains(ATTACHMENT), "{}", page.text());
}

/// Whole, unchanged, and by a name that it does not have.
#[track_caller]
fn downloads_the_attachment(setup: &OneApp, browser: &mut Browser) {
    let file = browser.get(ATTACHMENT).expect(200);
    assert!(file.body == upload());
    let disposition = file.header("Content-Disposition").unwrap();
    assert!(disposition.contains("filename*=UTF-8''a%20b%20%C3%A9.bin"), "{disposition}");
    let etag = file.header("ETag").expect("Redmine sends one").to_owned();
    browser.send(Request::get(ATTACHMENT).header("If-None-Match", &etag)).expect(304);
    let zip = browser.get("/attachments/issues/1/download").expect(200);
    assert!(zip.body.starts_with(b"PK"), "all files of the issue");
    let odd = "/attachments/download/1/a%20b%2F%C3%A9";
    browser.get(odd).expect(404);
    let log = std::fs::read_to_string(setup.app.path("instances/default/log/production.log")).unwrap();
    assert!(log.contains(&format!("Started GET \"{odd}\"")), "{odd} is not in Redmine's log");
}

#[track_caller]
fn finds_the_issue(browser: &mut Browser) {
    for written in ["/search?q=Gr%C3%BC%C3%9Fe", "/projects/shop/search?q=%E6%97%A5%E6%9C%AC%E8%AA%9E"] {
        let page = browser.get(written).expect(200).text();
        assert!(page.contains("Grüße") && page.contains("href=\"/issues/1\""), "{written}: {page}");
    }
    let table = browser.get("/projects/shop/issues.csv?encoding=UTF-8").expect(200);
    assert!(table.text().contains("Grüße"), "{}", table.text());
}

/// A page whose name has a space and a letter beyond ASCII, and another version of it.
#[track_caller]
fn writes_a_wiki_page(setup: &OneApp, browser: &mut Browser) {
    let path = "/projects/shop/wiki/Caf%C3%A9_one";
    let page = browser.get(&format!("{path}/edit")).expect(200);
    let text = "h1. Über uns\n\nSee [[Café two]] and #1.";
    let form = Form::on(&page, TOKEN).with("_method", "put").with("content[version]", "0");
    let page = browser.submits(path, &form.with("content[text]", text));
    assert!(page.text().contains("Über uns") && page.text().contains("Caf%C3%A9_two"), "{}", page.text());
    // A space and an underscore are the same to Redmine.
    let same = browser.get("/projects/shop/wiki/Caf%C3%A9%20one");
    assert!(same.status() == 200 && same.text().contains("Über uns"), "{}", same.text());
    let plain = browser.get(&format!("{path}.txt")).expect(200);
    assert_eq!(plain.text().replace("\r\n", "\n"), text);
    // Visitors may read it, as the project is public.
    assert!(setup.nginx.get(path).expect(200).text().contains("Über uns"));
}

/// Returns the administrator's key.
#[track_caller]
fn opens_the_api(browser: &mut Browser) -> String {
    let page = browser.get("/settings?tab=api").expect(200);
    let form = Form::on(&page, TOKEN).with("settings[rest_api_enabled]", "1");
    browser.submits("/settings/edit?tab=api", &form);
    let page = browser.get("/my/api_key").expect(200).text();
    let key = page.split_once("<pre>").and_then(|(_, rest)| rest.split_once("</pre>"));
    key.unwrap_or_else(|| panic!("no key in {page}")).0.to_owned()
}

#[track_caller]
fn uses_the_api(setup: &OneApp, key: &str) {
    let ask = |request: Request| {
        let request = request.header("X-Redmine-API-Key", key);
        setup.nginx.send(request.header("Content-Type", "application/json"))
    };
    let issue = r#"{"issue": {"project_id": "shop", "subject": "Über API"}}"#;
    setup.nginx.send(Request::get("/users/current.json")).expect(401);
    let made = ask(Request::post("/issues.json", issue)).expect(201).json();
    assert_eq!(
        (made["issue"]["id"].as_u64(), made["issue"]["subject"].as_str()),
        (Some(2), Some("Über API"))
    );
    let change = r#"{"issue": {"notes": "später"}}"#;
    ask(Request::new("PUT", "/issues/2.json").body(change)).expect(204);
    let journals = ask(Request::get("/issues/2.json?include=journals")).expect(200).json();
    assert_eq!(journals["issue"]["journals"][0]["notes"], "später");
    let list = ask(Request::get("/issues.json?subject=~%C3%9Cber%20API")).expect(200).json();
    assert_eq!(list["total_count"], 1, "{list}");
    let refused = ask(Request::post("/issues.json", r#"{"issue": {"project_id": "shop"}}"#)).expect(422);
    assert!(refused.json()["errors"][0].is_string());
    ask(Request::new("DELETE", "/issues/2.json")).expect(204);
    ask(Request::get("/issues/2.json")).expect(404);
}

/// A file whose name is in the query, with a slash that Redmine replaces.
#[track_caller]
fn uploads_by_the_api(setup: &OneApp, key: &str) {
    let request = Request::post("/uploads.json?filename=%C3%A9%20a%2Fb.bin", upload());
    let request = request.header("Content-Type", "application/octet-stream");
    let token = setup.nginx.send(request.header("X-Redmine-API-Key", key)).expect(201).json();
    let token = token["upload"]["token"].as_str().unwrap();
    let issue = format!(
        r#"{{"issue": {{"project_id": "shop", "subject": "file", "uploads": [{{"token": "{token}", "filename": "é a/b.bin"}}]}}}}"#
    );
    let request = Request::post("/issues.json", issue).header("Content-Type", "application/json");
    let made = setup.nginx.send(request.header("X-Redmine-API-Key", key)).expect(201).json();
    let path = format!("/issues/{}.json?include=attachments", made["issue"]["id"]);
    let shown = setup.nginx.send(Request::get(&path).header("X-Redmine-API-Key", key)).expect(200).json();
    let file = &shown["issue"]["attachments"][0];
    assert_eq!(
        (file["filename"].as_str(), file["filesize"].as_u64()),
        (Some("b.bin"), Some(300_000)),
        "{file}"
    );
}
