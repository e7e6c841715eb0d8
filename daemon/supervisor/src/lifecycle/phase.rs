//! The daemon's life as a table: phase and event give the next phase and what is to be done.
//!
//! It is pure; times and processes are its caller's.

/// Where in its life the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The operator's programs run before anything is served.
    Preparing,
    /// Requests are served.
    Serving,
    /// They still are, while the operator's programs run before the end.
    Parting,
    /// The router finishes requests and stops its processes.
    Draining,
    /// There is no router any more; the processes were asked to end.
    Stopping,
    /// What is left was killed.
    Killing,
    /// Nothing is left but the operator's programs for after the end.
    Concluding,
    /// Nothing is left.
    Over,
}

/// What moves it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The operator's programs of this phase have ended, or there are none.
    ProgramsDone,
    /// One of them failed that must not.
    Refused,
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
    /// Start a router and tell that the daemon is up.
    Serve,
    /// End what has been begun: nothing was served.
    Abandon,
    /// Run the operator's programs for before the end.
    Part,
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
    /// Run the operator's programs for after the end.
    Conclude,
}

/// One step. The events that a phase does not wait for change nothing.
pub(super) fn step(phase: Phase, event: Event) -> (Phase, Action) {
    match (phase, event) {
        (Phase::Preparing, Event::ProgramsDone) => (Phase::Serving, Action::Serve),
        (Phase::Preparing, Event::Refused) => (Phase::Over, Action::Nothing),
        (Phase::Preparing, Event::Asked) => (Phase::Killing, Action::Abandon),
        (Phase::Preparing, Event::RouterGone | Event::TimeUp | Event::Alone) => (phase, Action::Nothing),

        (Phase::Serving, Event::Asked) => (Phase::Parting, Action::Part),
        (Phase::Serving, Event::RouterGone | Event::TimeUp | Event::Alone) => (phase, Action::Nothing),

        (Phase::Parting, Event::ProgramsDone) => (Phase::Draining, Action::Drain),
        (Phase::Parting, Event::Asked) => (Phase::Killing, Action::KillImpatiently),
        (Phase::Parting, Event::RouterGone | Event::TimeUp | Event::Alone) => (phase, Action::Nothing),

        (Phase::Draining, Event::RouterGone) => (Phase::Stopping, Action::Stop),
        (Phase::Draining, Event::TimeUp) => (Phase::Stopping, Action::StopAndKillRouter),
        (Phase::Draining, Event::Asked) => (Phase::Killing, Action::KillImpatiently),
        (Phase::Draining, Event::Alone) => (Phase::Concluding, Action::Conclude),

        (Phase::Stopping, Event::Asked) => (Phase::Killing, Action::KillImpatiently),
        (Phase::Stopping, Event::TimeUp) => (Phase::Killing, Action::Kill),
        (Phase::Stopping, Event::Alone) => (Phase::Concluding, Action::Conclude),
        (Phase::Stopping, Event::RouterGone) => (phase, Action::Nothing),

        // SIGKILL is not refused, but a process may be stuck in the kernel: it is left to it.
        (Phase::Killing, Event::TimeUp | Event::Alone) => (Phase::Concluding, Action::Conclude),
        (Phase::Killing, Event::Asked | Event::RouterGone) => (phase, Action::Nothing),

        (Phase::Concluding, Event::ProgramsDone) => (Phase::Over, Action::Nothing),
        (Phase::Concluding, Event::Asked) => (Phase::Killing, Action::KillImpatiently),
        (Phase::Concluding, Event::RouterGone | Event::TimeUp | Event::Alone) => (phase, Action::Nothing),

        // Programs that nobody waits for, or that end late.
        (_, Event::ProgramsDone | Event::Refused) => (phase, Action::Nothing),
        (Phase::Over, _) => (phase, Action::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that may last for a while only.
    const LIMITED: [Phase; 3] = [Phase::Draining, Phase::Stopping, Phase::Killing];
    const OTHERS: [Phase; 5] =
        [Phase::Preparing, Phase::Serving, Phase::Parting, Phase::Concluding, Phase::Over];

    #[test]
    fn an_orderly_shutdown_kills_nothing() {
        let mut phase = Phase::Preparing;
        let mut actions = Vec::new();
        let programs = Event::ProgramsDone;
        for event in [programs, Event::Asked, programs, Event::RouterGone, Event::Alone, programs] {
            let (next, action) = step(phase, event);
            phase = next;
            actions.push(action);
        }
        assert_eq!(phase, Phase::Over);
        let expected =
            [Action::Serve, Action::Part, Action::Drain, Action::Stop, Action::Conclude, Action::Nothing];
        assert_eq!(actions, expected);
    }

    #[test]
    fn asking_twice_kills_from_every_phase_that_waits() {
        for phase in [Phase::Parting, Phase::Draining, Phase::Stopping, Phase::Concluding] {
            assert_eq!(step(phase, Event::Asked), (Phase::Killing, Action::KillImpatiently));
        }
    }

    #[test]
    fn time_ends_what_has_a_limit() {
        for phase in LIMITED {
            assert_ne!(step(phase, Event::TimeUp).0, phase);
        }
        for phase in OTHERS {
            assert_eq!(step(phase, Event::TimeUp), (phase, Action::Nothing));
        }
    }

    #[test]
    fn a_program_that_refuses_keeps_the_daemon_from_starting_and_from_nothing_else() {
        assert_eq!(step(Phase::Preparing, Event::Refused), (Phase::Over, Action::Nothing));
        for phase in LIMITED.into_iter().chain([Phase::Serving, Phase::Parting, Phase::Concluding]) {
            assert_eq!(step(phase, Event::Refused), (phase, Action::Nothing));
        }
    }

    #[test]
    fn a_router_that_dies_does_not_end_the_service() {
        assert_eq!(step(Phase::Serving, Event::RouterGone), (Phase::Serving, Action::Nothing));
    }
}
