//! The upload rate of a request body, and detection of uploads that are too slow.
//!
//! Only the time during which the router waits for bytes from nginx is measured. While the app does not accept what was
//! received, the client cannot send, however fast it is. As with Apache's mod_reqtimeout, a body has a grace period and
//! one more second for each `min_rate` bytes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

/// Grace period of an upload, whatever its rate.
const GRACE: Duration = Duration::from_secs(20);

/// Measurements of one body.
#[derive(Debug, Default)]
pub(crate) struct UploadRate {
    /// Minimum rate in bytes per second.
    min_rate: u64,
    /// Bytes of the body that were taken from nginx.
    taken: Cell<u64>,
    /// Bytes of the body that were received and not taken yet.
    ahead: Cell<u64>,
    complete: Cell<bool>,
    /// How long the router has waited for more, without the current wait.
    waited: Cell<Duration>,
    waiting_since: Cell<Option<Instant>>,
}

/// A body whose upload was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its client sent {bytes} bytes of the body in {seconds} s, less than {min_rate} bytes per second (--min-upload-rate), \
     while other requests waited; with \"passenger_buffer_upload on\" nginx buffers uploads, and no process waits for them"
)]
pub(crate) struct TooSlow {
    bytes: u64,
    seconds: u64,
    min_rate: u64,
}

impl UploadRate {
    /// Starts to measure a body; `None` if there is no minimum rate.
    pub(crate) fn new(min_rate: u64) -> Option<Rc<Self>> {
        (min_rate > 0).then(|| Rc::new(Self { min_rate, ..Self::default() }))
    }

    /// Measures a wait for more from nginx, until the guard is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting_since.set(Some(Instant::now()));
        Waiting(self)
    }

    /// Adds bytes that were taken from nginx.
    pub(super) fn take(&self, bytes: u64) {
        self.taken.set(self.taken.get() + bytes);
    }

    /// Sets how many bytes were received and not taken yet.
    pub(super) fn set_ahead(&self, bytes: u64) {
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
        let seconds = self.bytes() / self.min_rate;
        let rest = (self.bytes() % self.min_rate) as f64 / self.min_rate as f64;
        let credit = Duration::from_secs(seconds) + Duration::from_secs_f64(rest);
        GRACE.saturating_add(credit).saturating_sub(self.waited())
    }

    /// Returns how slow the upload is, if it is too slow.
    pub(crate) fn too_slow(&self) -> Option<TooSlow> {
        let slow = TooSlow { bytes: self.bytes(), seconds: self.waited().as_secs(), min_rate: self.min_rate };
        (!self.is_complete() && self.time_left().is_zero()).then_some(slow)
    }

    fn bytes(&self) -> u64 {
        self.taken.get() + self.ahead.get()
    }

    fn waited(&self) -> Duration {
        self.waited.get() + self.waiting_since.get().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Guard of a wait for more from nginx.
#[derive(Debug)]
pub(crate) struct Waiting<'p>(&'p UploadRate);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waited.set(self.0.waited());
        self.0.waiting_since.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_paused_clock(test: impl AsyncFnOnce()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(test());
    }

    async fn seconds(n: u64) {
        tokio::time::advance(Duration::from_secs(n)).await;
    }

    #[test]
    fn the_minimum_rate_applies_after_the_grace_period() {
        on_a_paused_clock(async || {
            let rate = UploadRate::new(500).unwrap();
            let _waiting = rate.wait();
            seconds(19).await;
            assert_eq!((rate.time_left(), rate.too_slow()), (Duration::from_secs(1), None));
            seconds(1).await;
            let slow = rate.too_slow().expect("no byte was received");
            assert_eq!(slow, TooSlow { bytes: 0, seconds: 20, min_rate: 500 });
            rate.take(750);
            assert_eq!((rate.time_left(), rate.too_slow()), (Duration::from_millis(1500), None));
            rate.set_ahead(250);
            assert_eq!(rate.time_left(), Duration::from_secs(2));
            seconds(2).await;
            assert!(rate.too_slow().is_some());
        });
    }

    #[test]
    fn a_client_at_the_minimum_rate_is_never_too_slow() {
        on_a_paused_clock(async || {
            let rate = UploadRate::new(500).unwrap();
            for _ in 0..1000 {
                let waiting = rate.wait();
                seconds(1).await;
                drop(waiting);
                rate.take(500);
                assert_eq!(rate.time_left(), GRACE);
            }
        });
    }

    #[test]
    fn only_the_time_spent_waiting_for_nginx_is_measured() {
        on_a_paused_clock(async || {
            let rate = UploadRate::new(500).unwrap();
            for _ in 0..19 {
                let waiting = rate.wait();
                seconds(1).await;
                drop(waiting);
                seconds(3600).await;
            }
            assert_eq!((rate.time_left(), rate.too_slow()), (Duration::from_secs(1), None));
        });
    }

    #[test]
    fn a_complete_body_is_not_too_slow() {
        on_a_paused_clock(async || {
            let rate = UploadRate::new(500).unwrap();
            let _waiting = rate.wait();
            seconds(3600).await;
            rate.complete();
            assert_eq!(rate.too_slow(), None);
        });
    }

    #[test]
    fn the_largest_body_and_rate_do_not_overflow() {
        on_a_paused_clock(async || {
            for min_rate in [1, 7, u64::MAX] {
                let rate = UploadRate::new(min_rate).unwrap();
                rate.take(u64::MAX);
                assert!(rate.time_left() > GRACE);
            }
        });
        assert!(UploadRate::new(0).is_none());
    }
}
