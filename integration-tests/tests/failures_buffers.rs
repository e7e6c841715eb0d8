//! Failures: no space for the backlog of slow clients. Their responses are delayed and complete; others are not affected.

use test_support::{Request, SmallDisk, TwoApps, eventually, is_root, skipped};

const SIZE: u32 = 6 << 20;
const PYTHON: &str = "import array
body = array.array('I', range((6 << 20) // 4)).tobytes()
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return (body[at:at + 30000] for at in range(0, len(body), 30000))
";

#[test]
fn a_full_buffer_disk_delays_slow_responses_and_is_reported() {
    const NAME: &str = "a_full_buffer_disk_delays_slow_responses_and_is_reported";
    if !is_root() {
        return skipped(NAME, "only root can mount a small disk");
    }
    let disk = SmallDisk::mount("buffers");
    let flag = format!("--data-buffer-dir={}", disk.path().display());
    let setup = TwoApps::new("", |daemon| daemon.flag(&flag), |app| app.python(PYTHON));
    let slow = || {
        let mut client = setup.nginx.connect();
        client.send(Request::get("/bad/").bytes("close"));
        client
    };
    let mut clients = [slow(), slow(), slow()];
    let reported = format!(
        "cannot buffer responses for slow clients in {}: No space left on device (os error 28); processes wait",
        disk.path().display()
    );
    setup.daemon.logs_eventually(&reported);
    let shown = format!("Problem       : {reported}");
    eventually("the status shows the problem", || setup.daemon.status().contains(&shown));
    setup.good_app_serves();
    let expected: Vec<u8> = (0..SIZE / 4).flat_map(u32::to_ne_bytes).collect();
    for client in &mut clients {
        let response = client.read_response().expect(200);
        assert!(response.complete && response.body == expected, "{} bytes", response.body.len());
        setup.good_app_serves();
    }
    assert_eq!(setup.daemon.log().matches(&reported).count(), 1, "it was logged once");
    eventually("the status shows no problem", || !setup.daemon.status().contains("Problem"));
    setup.daemon.logs_eventually(&format!(" s: {reported}"));
}
