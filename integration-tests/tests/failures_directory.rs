//! Failures: the directory service for the user of one app does not answer.

use test_support::{ONE_APP_CONF, SilentDirectory, TestDir, TwoApps, eventually, is_root, skipped};

const PYTHON: &str = "import os
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getuid()).encode()]
";

#[test]
fn a_hanging_directory_service_blocks_only_its_users() {
    const NAME: &str = "a_hanging_directory_service_blocks_only_its_users";
    if !is_root() {
        return skipped(NAME, "only root looks up whom an app is to run as");
    }
    let test_dir = TestDir::new();
    let directory = SilentDirectory::of(&test_dir, "games");
    let setup = TwoApps::on(
        test_dir,
        "passenger_user games;",
        |daemon| daemon.preloading(directory.library()),
        |app| app.python(PYTHON),
    );
    directory.hang();
    let mut visitor = setup.ask("/bad/");
    setup.good_app_restarts();
    visitor.read_response().expect(500);
    let root = setup.bad.dir().display();
    let reported = format!(
        "{root}, or the lookup of its user, does not answer: a file system or directory service hangs"
    );
    setup.daemon.logs_eventually(&format!("could not be started: {reported}"));
    assert!(
        setup.daemon.status().contains(&format!("Problem       : {reported}")),
        "{}",
        setup.daemon.status()
    );
    setup.good_app_restarts();
    directory.answer();
    eventually("it starts", || setup.nginx.get("/bad/").status() == 200);
    assert_eq!(setup.nginx.get("/bad/").expect(200).text(), "5", "games");
}

/// nginx names another default user, who cannot be looked up: that affects apps of the default user only.
#[test]
fn a_hanging_directory_service_allows_a_new_default_user() {
    const NAME: &str = "a_hanging_directory_service_allows_a_new_default_user";
    if !is_root() {
        return skipped(NAME, "only root looks up the default user");
    }
    let test_dir = TestDir::new();
    let directory = SilentDirectory::of(&test_dir, "games");
    let setup = TwoApps::on(
        test_dir,
        "passenger_user news;",
        |daemon| daemon.preloading(directory.library()),
        |app| app.python(PYTHON),
    );
    directory.hang();
    let location = "location /bad { root %%DIR%%/bad/public; passenger_user news; }";
    let conf = ONE_APP_CONF.replace("%%HTTP%%", "%%HTTP%% passenger_default_user games;");
    setup.nginx.configure(&conf.replace("%%APP%%", location));
    setup.nginx.reload();
    eventually("the router has passed it on", || {
        setup.nginx.get("/pid").expect(200);
        let output = setup.daemon.tool("passenger-config", &["settings"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).contains("games")
    });
    // The supervisor starts processes, and reports them.
    assert_eq!(setup.nginx.get("/bad/").expect(200).text(), "9", "news");
    assert!(setup.daemon.status().contains(&setup.bad_group()), "{}", setup.daemon.status());
    setup.restart_bad_app();
    assert_eq!(setup.nginx.get("/bad/").expect(200).text(), "9", "news");
    setup.daemon.logs_eventually("the lookup of user \"games\" does not answer: the directory service hangs");
    setup.good_app_restarts();
    directory.answer();
}
