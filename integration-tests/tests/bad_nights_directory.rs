//! Bad nights: the directory service for the user of one app does not answer.

use stage::{Neighbours, ONE_APP, SilentDirectory, Stage, eventually, is_root, skipped};

const PYTHON: &str = "import os
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getuid()).encode()]
";

#[test]
fn a_silent_directory_service_holds_up_those_that_it_knows_alone() {
    const NAME: &str = "a_silent_directory_service_holds_up_those_that_it_knows_alone";
    if !is_root() {
        return skipped(NAME, "only root looks up whom an app is to run as");
    }
    let stage = Stage::new();
    let directory = SilentDirectory::of(&stage, "games");
    let scene = Neighbours::on(
        stage,
        "passenger_user games;",
        |daemon| daemon.preloading(directory.library()),
        |app| app.python(PYTHON),
    );
    directory.be_silent();
    let mut visitor = scene.ask("/bad/");
    scene.good_one_restarts();
    visitor.read_response().expect(500);
    let root = scene.bad.dir().display();
    let told = format!(
        "{root}, or the lookup of its user, does not answer: a file system or directory service hangs"
    );
    scene.daemon.logs_eventually(&format!("could not be started: {told}"));
    assert!(scene.daemon.status().contains(&format!("Trouble       : {told}")), "{}", scene.daemon.status());
    scene.good_one_restarts();
    directory.answer();
    eventually("it starts", || scene.nginx.get("/bad/").status() == 200);
    assert_eq!(scene.nginx.get("/bad/").expect(200).text(), "5", "games");
}

/// nginx names another default user, whom nobody can look up: that concerns apps of the default user alone.
#[test]
fn a_silent_directory_service_does_not_hold_up_a_change_of_the_default_user() {
    const NAME: &str = "a_silent_directory_service_does_not_hold_up_a_change_of_the_default_user";
    if !is_root() {
        return skipped(NAME, "only root looks up the default user");
    }
    let stage = Stage::new();
    let directory = SilentDirectory::of(&stage, "games");
    let scene = Neighbours::on(
        stage,
        "passenger_user news;",
        |daemon| daemon.preloading(directory.library()),
        |app| app.python(PYTHON),
    );
    directory.be_silent();
    let location = "location /bad { root %%STAGE%%/bad/public; passenger_user news; }";
    let conf = ONE_APP.replace("%%HTTP%%", "%%HTTP%% passenger_default_user games;");
    scene.nginx.configure(&conf.replace("%%APP%%", location));
    scene.nginx.reload();
    eventually("the router has passed it on", || {
        scene.nginx.get("/pid").expect(200);
        let output = scene.daemon.tool("passenger-config", &["settings"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).contains("games")
    });
    // The supervisor starts processes, and tells of them.
    assert_eq!(scene.nginx.get("/bad/").expect(200).text(), "9", "news");
    assert!(scene.daemon.status().contains(&scene.bad_name()), "{}", scene.daemon.status());
    scene.restart_bad_one();
    assert_eq!(scene.nginx.get("/bad/").expect(200).text(), "9", "news");
    scene.daemon.logs_eventually("the lookup of user \"games\" does not answer: the directory service hangs");
    scene.good_one_restarts();
    directory.answer();
}
