//! The roster: a connection that tells the daemon which applications are configured. It is kept, and opened again when
//! the daemon restarts.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use module_core::response_head::{Greeting, find_greeting};
use module_core::roster::{self, ConfiguredApps, Files, Location, RosterSource};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::listen::stream::Stream;
use crate::request::encode::SERVER_SOFTWARE;
use crate::sites::{Site, Sites};

/// Shortest and longest pause between two attempts.
const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// What the roster says.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) sites: Arc<Sites>,
    /// The first bytes of the connection.
    pub(crate) greeting: Arc<[u8]>,
}

/// Keeps the daemon informed, for as long as the gate runs.
pub(crate) async fn run(socket: std::path::PathBuf, identity: String, mut content: watch::Receiver<Content>) {
    let mut pause = MIN_PAUSE;
    let mut logged = String::new();
    // The connection of the previous configuration, until the next one has been sent.
    let mut previous = None;
    loop {
        let current = content.borrow_and_update().clone();
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                let stream = Stream::Unix(stream);
                let frames = frames(&current.sites, &identity).await;
                let sent = stream.write_all(&[&current.greeting, &frames[..]].concat()).await;
                let kept = tokio::select! {
                    ended = keep(&stream, &mut previous, &mut logged, &mut pause), if sent.is_ok() => {
                        if let Err(problem) = ended {
                            log_once(&mut logged, problem);
                        }
                        None
                    }
                    changed = content.changed() => match changed {
                        Ok(()) => Some(stream),
                        Err(_) => return,
                    },
                };
                if let Some(stream) = kept {
                    previous = Some(stream);
                    continue;
                }
            }
            Err(err) => log_once(
                &mut logged,
                format!(
                    "cannot tell flying-passenger at {} which applications are configured: {err}",
                    socket.display()
                ),
            ),
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Waits until the daemon ends the connection.
async fn keep(
    stream: &Stream,
    previous: &mut Option<Stream>,
    logged: &mut String,
    pause: &mut Duration,
) -> Result<(), String> {
    let mut received = BytesMut::new();
    let mut was_welcome = false;
    loop {
        while let Some(greeting) = find_greeting(&received).map_err(|err| err.to_string())? {
            match greeting {
                Greeting::Goodbye => return Ok(()),
                Greeting::Welcome(_) if was_welcome => {
                    return Err("flying-passenger sent two welcomes".to_owned());
                }
                Greeting::Welcome(used) => received.advance(used),
            }
            was_welcome = true;
            *previous = None;
            *pause = MIN_PAUSE;
            if !std::mem::take(logged).is_empty() {
                info!("connected to flying-passenger again");
            }
        }
        match stream.read(&mut received).await {
            Ok(count) if count > 0 => {}
            _ => {
                debug!("flying-passenger closed the roster's connection");
                return Ok(());
            }
        }
    }
}

fn log_once(logged: &mut String, problem: String) {
    if *logged != problem {
        warn!("{problem}");
        *logged = problem;
    }
}

/// Returns the roster's frames. Applications are searched on disk, so this may take long.
async fn frames(sites: &Arc<Sites>, identity: &str) -> Vec<u8> {
    let (sites, identity) = (Arc::clone(sites), identity.to_owned());
    let made = tokio::task::spawn_blocking(move || {
        let all: Vec<_> = sites.all().map(|site| std::rc::Rc::new(configured(site))).collect();
        let source = RosterSource {
            instance: identity.as_bytes(),
            master: std::process::id(),
            server_software: SERVER_SOFTWARE.as_bytes(),
        };
        roster::frames(&all, source).map_err(|err| err.to_string())
    });
    match made.await {
        Ok(Ok(frames)) => frames,
        Ok(Err(problem)) => {
            error!("cannot send the list of applications to flying-passenger: {problem}");
            Vec::new()
        }
        Err(problem) => {
            error!("internal error while the list of applications was made: {problem}");
            Vec::new()
        }
    }
}

fn configured(site: &Site) -> ConfiguredApps {
    let base_uris: Vec<String> =
        Some(&site.base_uri).filter(|base| !base.is_empty()).cloned().into_iter().collect();
    let location = Location {
        name: site.base_uri.as_bytes(),
        files: Files::Root(&site.public_bytes),
        base_uris: &base_uris,
        document_root: str::from_utf8(&site.public_bytes).ok(),
    };
    let apps = ConfiguredApps::new(site.conf.clone(), &site.written, site.settings.clone(), location);
    if site.pre_start
        && let Err(problem) =
            apps.pre_start(if site.base_uri.is_empty() { b"/" } else { site.base_uri.as_bytes() })
    {
        warn!("cannot start the application in {} before its first request: {problem}", site.root_name());
    }
    apps
}
