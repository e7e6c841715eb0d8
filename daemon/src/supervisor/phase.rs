//! The daemon's life as a table: phase and event give the next phase and what is to be done.
//!
//! It is pure; times and processes are its caller's.

/// Where in its life the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Requests are served.
    Serving,
    /// The router finishes requests and stops its processes.
    Draining,
    /// There is no router any more; the processes were asked to end.
    Stopping,
    /// What is left was killed.
    Killing,
    /// Nothing is left.
    Over,
}

/// What moves it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// SIGTERM, SIGINT or SIGQUIT.
    Asked,
    /// The router has finished, or there is none.
    RouterGone,
    /// The phase has lasted too long.
    TimeUp,
    /// No child is left.
    Alone,
}

/// What the step asks of the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Nothing,
    /// Tell the router to finish.
    Drain,
    /// Ask every process to end.
    Stop,
    /// The same, and kill the router, which did not finish in time.
    StopAndKillRouter,
    /// Kill everything: the time is up.
    Kill,
    /// Kill everything: the operator asked twice, which is told by the exit status.
    KillImpatiently,
}

/// One step. The events that a phase does not wait for change nothing.
pub(super) fn step(phase: Phase, event: Event) -> (Phase, Action) {
    match (phase, event) {
        (Phase::Serving, Event::Asked) => (Phase::Draining, Action::Drain),
        (Phase::Serving, Event::RouterGone | Event::TimeUp | Event::Alone) => (phase, Action::Nothing),

        (Phase::Draining, Event::RouterGone) => (Phase::Stopping, Action::Stop),
        (Phase::Draining, Event::TimeUp) => (Phase::Stopping, Action::StopAndKillRouter),
        (Phase::Draining, Event::Asked) => (Phase::Killing, Action::KillImpatiently),
        (Phase::Draining, Event::Alone) => (Phase::Over, Action::Nothing),

        (Phase::Stopping, Event::Asked) => (Phase::Killing, Action::KillImpatiently),
        (Phase::Stopping, Event::TimeUp) => (Phase::Killing, Action::Kill),
        (Phase::Stopping, Event::Alone) => (Phase::Over, Action::Nothing),
        (Phase::Stopping, Event::RouterGone) => (phase, Action::Nothing),

        // SIGKILL is not refused, but a process may be stuck in the kernel: it is left to it.
        (Phase::Killing, Event::TimeUp | Event::Alone) => (Phase::Over, Action::Nothing),
        (Phase::Killing, Event::Asked | Event::RouterGone) => (phase, Action::Nothing),

        (Phase::Over, _) => (phase, Action::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 5] =
        [Phase::Serving, Phase::Draining, Phase::Stopping, Phase::Killing, Phase::Over];

    #[test]
    fn an_orderly_shutdown_kills_nothing() {
        let mut phase = Phase::Serving;
        let mut actions = Vec::new();
        for event in [Event::Asked, Event::RouterGone, Event::Alone] {
            let (next, action) = step(phase, event);
            phase = next;
            actions.push(action);
        }
        assert_eq!(phase, Phase::Over);
        assert_eq!(actions, [Action::Drain, Action::Stop, Action::Nothing]);
    }

    #[test]
    fn asking_twice_kills_from_every_phase_that_waits() {
        for phase in [Phase::Draining, Phase::Stopping] {
            assert_eq!(step(phase, Event::Asked), (Phase::Killing, Action::KillImpatiently));
        }
    }

    #[test]
    fn time_ends_every_phase_but_serving() {
        for phase in PHASES {
            let (next, _) = step(phase, Event::TimeUp);
            let stays = matches!(phase, Phase::Serving | Phase::Over);
            assert_eq!(next == phase, stays, "{phase:?}");
        }
    }

    #[test]
    fn a_router_that_dies_does_not_end_the_service() {
        assert_eq!(step(Phase::Serving, Event::RouterGone), (Phase::Serving, Action::Nothing));
    }
}
