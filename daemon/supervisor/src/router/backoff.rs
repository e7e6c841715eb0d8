//! The pause before the next router is started.

use std::time::Duration;

/// A router that ran this long is considered healthy.
const LONG_LIFE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The pause, which grows with each router that ends early.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    pause: Duration,
}

impl BackOff {
    /// Returns the pause after a router that ran for `life`; none at first.
    pub(super) fn after(&mut self, life: Duration) -> Duration {
        if life >= LONG_LIFE {
            self.pause = Duration::ZERO;
        }
        let pause = self.pause;
        self.pause = (pause * 2).clamp(STEP, MAX_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_from_zero_to_a_limit_and_is_reset_by_a_long_life() {
        let mut back_off = BackOff::default();
        let pauses: Vec<u128> = (0..8).map(|_| back_off.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [0, 250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(back_off.after(LONG_LIFE), Duration::ZERO);
    }
}
