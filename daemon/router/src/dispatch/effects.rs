//! What follows from a change of the pool, once the lock is released: waking requests, log lines, notifications.

use std::sync::Arc;
use std::task::Waker;

use tracing::{debug, info, warn};

use crate::report::SpawnFailure;

/// A log line.
#[derive(Debug)]
pub(super) enum Line {
    Debug(String),
    Info(String),
    Warning(String),
}

/// The effects of one change. Nearly every change has one at most, which allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Why the process of the change did not start.
    pub(super) failure: Option<Arc<SpawnFailure>>,
    /// The main thread has orders to carry out.
    pub(super) has_orders: bool,
    /// The next sweep may be due earlier.
    pub(super) sweep_sooner: bool,
    first: Option<Waker>,
    others: Vec<Waker>,
    lines: Vec<Line>,
}

impl Effects {
    /// Wakes the task of a request that was answered.
    pub(super) fn wake(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.others.push(waker);
        }
    }

    pub(super) fn log(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Wakes and logs. Called without the lock.
    pub(super) fn apply(self) {
        self.first.into_iter().chain(self.others).for_each(Waker::wake);
        for line in self.lines {
            match line {
                Line::Debug(line) => debug!("{line}"),
                Line::Info(line) => info!("{line}"),
                Line::Warning(line) => warn!("{line}"),
            }
        }
    }
}
