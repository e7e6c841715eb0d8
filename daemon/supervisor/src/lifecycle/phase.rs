//! The state machine of the daemon's life: maps a phase and an event to the next phase and an action.
//!
//! It is pure; its caller handles times and processes.

/// A phase of the daemon's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The operator's start-up programs run; nothing is served yet.
    Preparing,
    /// Requests are served.
    Serving,
    /// Requests are still served while the operator's programs run before the shutdown.
    Parting,
    /// The router finishes requests and stops its processes.
    Draining,
    /// There is no router any more; the processes were asked to end.
    Stopping,
    /// The remaining processes were killed.
    Killing,
    /// Only the operator's programs for after the shutdown are left.
    Concluding,
    /// Nothing is left.
    Over,
}

/// An event that may change the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The operator's programs of this phase have ended, or there are none.
    ProgramsDone,
    /// A program of the operator has failed whose failure prevents the start.
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

/// What the supervisor has to do in this step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Start a router and report that the daemon is up.
    Serve,
    /// End what was begun: nothing was served.
    Abandon,
    /// Run the operator's programs for before the shutdown.
    Part,
    /// Order the router to finish.
    Drain,
    /// Ask every process to end.
    Stop,
    /// Ask every process to end, and kill the router, which did not finish in time.
    StopAndKillRouter,
    /// Kill everything: the time limit has passed.
    Kill,
    /// Kill everything: the operator asked twice, which the exit status reports.
    KillImpatiently,
    /// Run the operator's programs for after the shutdown.
    Conclude,
}

/// Takes one step. Events that a phase does not wait for change nothing.
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

        // SIGKILL cannot be refused, but a process may be stuck in the kernel and is left behind.
        (Phase::Killing, Event::TimeUp | Event::Alone) => (Phase::Concluding, Action::Conclude),
        (Phase::Killing, Event::Asked | Event::RouterGone) => (phase, Action::Nothing),

        (Phase::Concluding, Event::ProgramsDone) => (Phase::Over, Action::Nothing),
        (Phase::Concluding, Event::Asked) => (Phase::Killing, Action::KillImpatiently),
        (Phase::Concluding, Event::RouterGone | Event::TimeUp | Event::Alone) => (phase, Action::Nothing),

        // Programs that the daemon does not wait for, or that end late.
        (_, Event::ProgramsDone | Event::Refused) => (phase, Action::Nothing),
        (Phase::Over, _) => (phase, Action::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The phases that have a time limit.
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
    fn phases_with_a_limit_end_at_their_timeout() {
        for phase in LIMITED {
            assert_ne!(step(phase, Event::TimeUp).0, phase);
        }
        for phase in OTHERS {
            assert_eq!(step(phase, Event::TimeUp), (phase, Action::Nothing));
        }
    }

    #[test]
    fn a_refusing_program_prevents_only_the_start() {
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
