//! Bad nights: the directory service that knows the user of one app does not answer.

use stage::{Neighbours, SilentDirectory, Stage, eventually, is_root, skipped};

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
    let told =
        format!("{root} does not answer, or who knows its user: a file system or directory service hangs");
    scene.daemon.logs_eventually(&format!("could not be started: {told}"));
    assert!(scene.daemon.status().contains(&format!("Trouble       : {told}")), "{}", scene.daemon.status());
    scene.good_one_restarts();
    directory.answer();
    eventually("it starts", || scene.nginx.get("/bad/").status() == 200);
    assert_eq!(scene.nginx.get("/bad/").expect(200).text(), "5", "games");
}
