//! How much one task may do before the others of its thread run. Tasks that relay what apps, clients or
//! processes write call it; it knows nothing of what they relay.
//!
//! Tasks that always have more to do share [`ROUND`], a fixed amount of work: the more of them there are, the smaller
//! is the part of each. A round ends when one of them has used its part: it waits until the event loop has looked for
//! other events. A task that is woken for a few bytes at a time pauses, and finds more bytes at the next time.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Work of all tasks together in a round; a unit is a decoded item or a kilobyte, about 0.5 µs each.
const ROUND: usize = 1024;
/// Largest part of one task.
const MAX_PART: usize = 512;
/// Smallest part, for any number of tasks: that of one read.
const MIN_PART: usize = 16;

/// An item of fewer bytes is a tiny one.
const TINY_ITEM: usize = 16;
/// A read of fewer bytes is a small one.
const SMALL_READ: usize = 256;
/// Number of small reads after which their rate is checked.
const BURST: u32 = 16;
/// A burst that takes less time is too fast: an app that streams text writes less often.
const MIN_BURST_TIME: Duration = Duration::from_millis(2);
/// Length of the pause after a burst.
const PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    static CURRENT: Cell<Round> = const { Cell::new(Round { number: 1, tasks: 0, tasks_before: 0 }) };
}

/// The round of this thread.
#[derive(Debug, Clone, Copy)]
struct Round {
    number: u64,
    /// Tasks that have done more than [`MIN_PART`] in it, and in the one before.
    tasks: usize,
    tasks_before: usize,
}

/// The share of one task.
#[derive(Debug, Default)]
pub(crate) struct FairShare {
    /// The round in which it last did more than [`MIN_PART`], and what it did in it.
    round: u64,
    work: usize,
    /// Bytes of the items in that work.
    bytes: usize,
    pace: Pace,
}

/// Small reads of one task.
#[derive(Debug, Default)]
struct Pace {
    small_reads: u32,
    burst_began: Option<Instant>,
}

impl FairShare {
    /// Counts work, and lets other tasks run if the part of this one is used up.
    pub(crate) async fn spend(&mut self, work: usize) {
        if self.is_used_up(work) {
            (self.work, self.bytes) = (0, 0);
            let ended = self.round;
            tokio::task::yield_now().await;
            end_round(ended);
        }
    }

    /// Counts an item of so many bytes, and lets other tasks run if the part of this one is used up. Pauses if most
    /// items were tiny: they would keep the thread busy for little data.
    pub(crate) async fn spend_item(&mut self, bytes: usize) {
        if self.counts_tiny_items(bytes) {
            tokio::time::sleep(PAUSE).await;
        }
        self.spend(0).await;
    }

    /// Counts an item; true if the part of this task is used up by tiny ones.
    fn counts_tiny_items(&mut self, bytes: usize) -> bool {
        let is_used_up = self.is_used_up(1);
        self.bytes += bytes;
        is_used_up && self.bytes < self.work * TINY_ITEM
    }

    /// Counts work; true if other tasks must run now.
    fn is_used_up(&mut self, work: usize) -> bool {
        self.work += work;
        // Most responses are short: they neither use up a part nor make it smaller.
        if self.work < MIN_PART {
            return false;
        }
        let mut round = CURRENT.get();
        if self.round != round.number {
            round.tasks += 1;
            CURRENT.set(round);
            (self.round, self.work, self.bytes) = (round.number, work.max(MIN_PART), 0);
        }
        self.work >= round.part()
    }

    /// Returns the size of one read, at most `size` bytes, so that it does not exceed the part of this task.
    pub(crate) fn limit_read(&self, size: usize) -> usize {
        size.min(CURRENT.get().part() * 1024)
    }

    /// Pauses after a burst of small reads; `received` is the length of the last one.
    pub(crate) async fn pace(&mut self, received: usize) {
        if self.pace.is_too_fast(received, Instant::now) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Round {
    fn part(self) -> usize {
        (ROUND / self.tasks.max(self.tasks_before).max(1)).clamp(MIN_PART, MAX_PART)
    }
}

/// The event loop has looked for other events. The first task that continues after that begins the next round.
fn end_round(number: u64) {
    let round = CURRENT.get();
    if round.number == number {
        CURRENT.set(Round { number: number + 1, tasks: 0, tasks_before: round.tasks });
    }
}

impl Pace {
    fn is_too_fast(&mut self, received: usize, now: impl FnOnce() -> Instant) -> bool {
        if received >= SMALL_READ {
            *self = Self::default();
            return false;
        }
        self.small_reads += 1;
        if self.small_reads > 1 && self.small_reads < BURST {
            return false;
        }
        let now = now();
        if self.small_reads == 1 {
            self.burst_began = Some(now);
            return false;
        }
        self.small_reads = 0;
        self.burst_began.is_some_and(|began| now.duration_since(began) < MIN_BURST_TIME)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    /// Returns how much work each of these tasks does in a round, once their number is known.
    fn work_in_a_round(tasks: usize) -> Vec<usize> {
        let mut shares: Vec<FairShare> = (0..tasks).map(|_| FairShare::default()).collect();
        let mut round = || {
            let number = CURRENT.get().number;
            let done = shares.iter_mut().map(use_up).collect();
            end_round(number);
            done
        };
        let _: Vec<usize> = round();
        round()
    }

    fn use_up(share: &mut FairShare) -> usize {
        share.work = 0;
        1 + iter::repeat_with(|| share.is_used_up(1)).take_while(|used| !used).count()
    }

    #[test]
    fn busy_tasks_share_the_work_of_a_round() {
        assert_eq!(work_in_a_round(1), [512]);
        assert_eq!(work_in_a_round(2), [512, 512]);
        assert_eq!(work_in_a_round(8), [128; 8]);
        assert_eq!(work_in_a_round(500), [16; 500]);
    }

    #[test]
    fn the_first_round_of_many_tasks_is_limited_too() {
        let mut shares: Vec<FairShare> = (0..100).map(|_| FairShare::default()).collect();
        let work: usize = shares.iter_mut().map(use_up).sum();
        assert!(work < 8 * ROUND, "{work}");
    }

    #[test]
    fn only_the_first_task_that_continues_begins_a_round() {
        let before = CURRENT.get().number;
        let (mut one, mut other) = (FairShare::default(), FairShare::default());
        assert!(one.is_used_up(MAX_PART) && other.is_used_up(MAX_PART));
        end_round(one.round);
        assert!(!one.is_used_up(1));
        end_round(other.round);
        assert_eq!(CURRENT.get().number, before + 1);
        assert!(!other.is_used_up(1), "its part of the new round is unused");
    }

    #[test]
    fn reads_are_smaller_while_many_tasks_are_busy() {
        let mut shares: Vec<FairShare> = (0..64).map(|_| FairShare::default()).collect();
        assert_eq!(shares[0].limit_read(128 * 1024), 128 * 1024);
        for share in &mut shares {
            share.is_used_up(MIN_PART);
        }
        assert_eq!(shares[0].limit_read(128 * 1024), 16 * 1024);
    }

    #[test]
    fn short_responses_do_not_make_parts_smaller() {
        for _ in 0..1000 {
            assert!(!FairShare::default().is_used_up(MIN_PART - 1));
        }
        assert_eq!(use_up(&mut FairShare::default()), MAX_PART);
    }

    #[test]
    fn a_part_of_tiny_items_ends_with_a_pause() {
        let pauses = |bytes| {
            let mut share = FairShare::default();

            (0..2 * MAX_PART).any(|_| share.counts_tiny_items(bytes))
        };
        assert!(pauses(6));
        assert!(!pauses(1024));
    }

    #[test]
    fn a_busy_task_lets_others_run() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut share = FairShare::default();
            let busy = async {
                loop {
                    share.spend(1).await;
                }
            };
            tokio::select! {
                biased;
                () = busy => {}
                () = async {} => {}
            }
        });
    }

    /// Returns the number of pauses in 1,000 reads of this length with this interval.
    fn pauses(received: usize, interval: Duration) -> u32 {
        let (mut pace, mut now, mut pauses) = (Pace::default(), Instant::now(), 0);
        for _ in 0..1000 {
            now += interval;
            pauses += u32::from(pace.is_too_fast(received, || now));
        }
        pauses
    }

    #[test]
    fn a_flood_of_small_reads_is_slowed_down() {
        assert_eq!(pauses(1, Duration::from_micros(10)), 62);
        assert_eq!(pauses(1, Duration::from_millis(1)), 0, "a stream of text is not delayed");
        assert_eq!(pauses(16 * 1024, Duration::ZERO), 0, "large reads are not delayed");
    }

    #[test]
    fn a_large_read_ends_a_burst() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for read in 0..200 {
            let received = if read % 15 == 14 { SMALL_READ } else { 1 };
            assert!(!pace.is_too_fast(received, || now), "{read}");
        }
    }
}
