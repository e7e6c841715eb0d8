//! Clients that send requests continuously while a test changes the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::http::{Connection, Request};
use crate::wait::eventually;

/// Running clients.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

/// The results of the clients.
#[derive(Debug)]
pub struct LoadReport {
    /// Requests answered with status 200.
    pub answered: usize,
    /// Descriptions of all other results.
    pub failures: Vec<String>,
}

impl Load {
    /// Starts `clients` threads that GET `path` repeatedly, with a new connection for each request.
    pub fn on(port: u16, path: &str, clients: usize) -> Self {
        Self::of(port, &Request::get(path), clients)
    }

    /// As [`Load::on`], with this GET.
    pub fn of(port: u16, request: &Request, clients: usize) -> Self {
        let bytes = Arc::new(request.bytes("close"));
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let client = |_| {
            let (stop, answered, bytes) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&bytes));
            thread::spawn(move || keep_asking(port, &bytes, &stop, &answered))
        };
        let clients = (0..clients).map(client).collect();
        Self { stop, answered, clients }
    }

    /// Waits until this many more requests were answered.
    #[track_caller]
    pub fn let_pass(&self, more: usize) {
        let target = self.answered.load(Ordering::Relaxed) + more;
        eventually(&format!("{more} more requests were answered"), || {
            self.answered.load(Ordering::Relaxed) >= target
                || self.clients.iter().all(JoinHandle::is_finished)
        });
    }

    /// Stops the clients.
    pub fn finish(self) -> LoadReport {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        LoadReport { answered: self.answered.load(Ordering::Relaxed), failures }
    }
}

fn keep_asking(port: u16, request: &[u8], stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let mut failures = Vec::new();
    while !stop.load(Ordering::Relaxed) && failures.len() < 20 {
        let asked = Connection::try_to(port).and_then(|mut connection| {
            connection.try_send(request)?;
            connection.try_read_response("GET")
        });
        match asked {
            Ok(response) if response.status() == 200 && response.complete => {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(response) => failures.push(format!("status {}: {}", response.status(), response.text())),
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures
}
