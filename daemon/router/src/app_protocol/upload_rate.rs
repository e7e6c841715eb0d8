//! The upload rate of a request body, and detection of uploads that are too slow.
//!
//! Only the time during which the router waits for bytes from nginx is measured. While the app does not accept what was
//! received, the client cannot send, however fast it is. As with Apache's mod_reqtimeout, a body has a grace period and
//! one more second for each `least` bytes.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

/// Grace period of an upload, whatever its rate.
const GRACE: Duration = Duration::from_secs(20);

/// Measurements of one body.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Minimum rate in bytes per second.
    least: u64,
    /// Bytes of the body that were taken from nginx.
    taken: Cell<u64>,
    /// Bytes of the body that were received and not taken yet.
    ahead: Cell<u64>,
    complete: Cell<bool>,
    /// How long the router has waited for more, without the current wait.
    waited: Cell<Duration>,
    waits_since: Cell<Option<Instant>>,
}

/// A body whose upload was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSlow {
    bytes: u64,
    seconds: u64,
    least: u64,
}

impl Pace {
    /// Starts to measure a body; `None` if there is no minimum rate.
    pub(crate) fn new(least: u64) -> Option<Rc<Self>> {
        (least > 0).then(|| {
            Rc::new(Self {
                least,
                taken: Cell::new(0),
                ahead: Cell::new(0),
                complete: Cell::new(false),
                waited: Cell::new(Duration::ZERO),
                waits_since: Cell::new(None),
            })
        })
    }

    /// Measures a wait for more from nginx, until the guard is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waits_since.set(Some(Instant::now()));
        Waiting(self)
    }

    /// Adds bytes that were taken from nginx.
    pub(super) fn take(&self, bytes: u64) {
        self.taken.set(self.taken.get() + bytes);
    }

    /// Sets how many bytes were received and not taken yet.
    pub(super) fn note_ahead(&self, bytes: u64) {
        self.ahead.set(bytes);
    }

    /// Records that all of the body was received.
    pub(super) fn complete(&self) {
        self.complete.set(true);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete.get()
    }

    /// Returns the minimum time until the body can be too slow; zero if it is.
    pub(crate) fn time_left(&self) -> Duration {
        let seconds = self.bytes() / self.least;
        let rest = (self.bytes() % self.least) as f64 / self.least as f64;
        let credit = Duration::from_secs(seconds) + Duration::from_secs_f64(rest);
        GRACE.saturating_add(credit).saturating_sub(self.waited())
    }

    /// Returns how slow the upload is, if it is too slow.
    pub(crate) fn too_slow(&self) -> Option<TooSlow> {
        let slow = TooSlow { bytes: self.bytes(), seconds: self.waited().as_secs(), least: self.least };
        (!self.is_complete() && self.time_left().is_zero()).then_some(slow)
    }

    fn bytes(&self) -> u64 {
        self.taken.get() + self.ahead.get()
    }

    fn waited(&self) -> Duration {
        self.waited.get() + self.waits_since.get().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, seconds, least } = self;
        write!(
            f,
            "its client has sent {bytes} bytes of the body in {seconds} s while other requests wait: less than {least} \
             bytes a second (--min-upload-rate); with \"passenger_buffer_upload on\" nginx collects uploads and no process \
             waits for them"
        )
    }
}

/// Guard of a wait for more from nginx.
#[derive(Debug)]
pub(crate) struct Waiting<'p>(&'p Pace);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waited.set(self.0.waited());
        self.0.waits_since.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_turned_clock(story: impl AsyncFnOnce()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(story());
    }

    async fn seconds(n: u64) {
        tokio::time::advance(Duration::from_secs(n)).await;
    }

    #[test]
    fn after_the_grace_the_rate_counts() {
        on_a_turned_clock(async || {
            let pace = Pace::new(500).unwrap();
            let _waiting = pace.wait();
            seconds(19).await;
            assert_eq!((pace.time_left(), pace.too_slow()), (Duration::from_secs(1), None));
            seconds(1).await;
            let slow = pace.too_slow().expect("no byte has come");
            assert_eq!(slow, TooSlow { bytes: 0, seconds: 20, least: 500 });
            pace.take(750);
            assert_eq!((pace.time_left(), pace.too_slow()), (Duration::from_millis(1500), None));
            pace.note_ahead(250);
            assert_eq!(pace.time_left(), Duration::from_secs(2));
            seconds(2).await;
            assert!(pace.too_slow().is_some());
        });
    }

    #[test]
    fn a_client_at_the_least_rate_is_never_too_slow() {
        on_a_turned_clock(async || {
            let pace = Pace::new(500).unwrap();
            for _ in 0..1000 {
                let waiting = pace.wait();
                seconds(1).await;
                drop(waiting);
                pace.take(500);
                assert_eq!(pace.time_left(), GRACE);
            }
        });
    }

    #[test]
    fn time_in_which_the_router_does_not_wait_for_nginx_does_not_count() {
        on_a_turned_clock(async || {
            let pace = Pace::new(500).unwrap();
            for _ in 0..19 {
                let waiting = pace.wait();
                seconds(1).await;
                drop(waiting);
                seconds(3600).await;
            }
            assert_eq!((pace.time_left(), pace.too_slow()), (Duration::from_secs(1), None));
        });
    }

    #[test]
    fn a_complete_body_is_not_slow() {
        on_a_turned_clock(async || {
            let pace = Pace::new(500).unwrap();
            let _waiting = pace.wait();
            seconds(3600).await;
            pace.complete();
            assert_eq!(pace.too_slow(), None);
        });
    }

    #[test]
    fn the_largest_body_and_rate_overflow_nothing() {
        on_a_turned_clock(async || {
            for least in [1, 7, u64::MAX] {
                let pace = Pace::new(least).unwrap();
                pace.take(u64::MAX);
                assert!(pace.time_left() > GRACE);
            }
        });
        assert!(Pace::new(0).is_none());
    }
}
