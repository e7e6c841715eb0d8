//! TCP ports that are reserved while a test runs: free ones below those that the daemon gives to apps, each with a file
//! lock, so that concurrent test processes never pick the same one.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::fcntl::{Flock, FlockArg};

const FIRST: u16 = 2_000;
const COUNT: u16 = 3_000;

static TRIED: AtomicU16 = AtomicU16::new(0);

/// A port and the lock that holds it.
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: Flock<File>,
}

impl Port {
    pub(crate) fn pick() -> Self {
        let dir = shared("ports");
        fs::create_dir_all(&dir).expect("cannot create the directory of port locks");
        let start = (std::process::id() % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let step = TRIED.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + (start.wrapping_add(step)) % COUNT;
            let Ok(file) = File::create(dir.join(number.to_string())) else {
                continue;
            };
            let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
                continue;
            };
            if TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no TCP port between {FIRST} and {} is free", FIRST + COUNT);
    }
}

/// A path that all test processes of this user share.
pub(crate) fn shared(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("flying-passenger-{name}.{}", nix::unistd::getuid()))
}
