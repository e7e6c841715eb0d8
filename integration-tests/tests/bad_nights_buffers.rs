//! Bad nights: no space for the backlog of slow clients. Their responses are delayed and complete; others are not affected.

use stage::{Neighbours, Request, SmallDisk, eventually, is_root, skipped};

const SIZE: u32 = 6 << 20;
const PYTHON: &str = "import array
body = array.array('I', range((6 << 20) // 4)).tobytes()
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return (body[at:at + 30000] for at in range(0, len(body), 30000))
";

#[test]
fn a_full_disk_under_the_buffers_makes_slow_answers_wait_and_is_told() {
    const NAME: &str = "a_full_disk_under_the_buffers_makes_slow_answers_wait_and_is_told";
    if !is_root() {
        return skipped(NAME, "only root can mount a small disk");
    }
    let disk = SmallDisk::mount("buffers");
    let flag = format!("--data-buffer-dir={}", disk.path().display());
    let scene = Neighbours::new("", |daemon| daemon.flag(&flag), |app| app.python(PYTHON));
    let slow = || {
        let mut client = scene.nginx.connect();
        client.send(Request::get("/bad/").bytes("close"));
        client
    };
    let mut clients = [slow(), slow(), slow()];
    let told = format!(
        "cannot buffer responses for slow clients in {}: No space left on device (os error 28); processes wait",
        disk.path().display()
    );
    scene.daemon.logs_eventually(&told);
    let shown = format!("Trouble       : {told}");
    eventually("the status tells", || scene.daemon.status().contains(&shown));
    scene.good_one_serves();
    let expected: Vec<u8> = (0..SIZE / 4).flat_map(u32::to_ne_bytes).collect();
    for client in &mut clients {
        let response = client.read_response().expect(200);
        assert!(response.complete && response.body == expected, "{} bytes", response.body.len());
        scene.good_one_serves();
    }
    assert_eq!(scene.daemon.log().matches(&told).count(), 1, "it is told once");
    eventually("the status is content", || !scene.daemon.status().contains("Trouble"));
    scene.daemon.logs_eventually(&format!(" s: {told}"));
}
