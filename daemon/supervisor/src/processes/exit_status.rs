//! How a process ended, as the rest of a sentence about it.

use common::sys::process::End;

/// Returns, for example, `exited with status 1` or `was killed by signal 9 (SIGKILL)`.
pub(crate) fn sentence(end: End) -> String {
    match end {
        End::Status(status) => format!("exited with status {status}"),
        End::Signal { signal, core } => {
            let dumped = if core { "; core dumped" } else { "" };
            format!("was killed by signal {} ({}){dumped}", signal as i32, signal.as_str())
        }
        End::Unknown => "ended in a way that the kernel does not tell".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn every_end_is_a_sentence() {
        let killed = End::Signal { signal: Signal::SIGKILL, core: false };
        let crashed = End::Signal { signal: Signal::SIGSEGV, core: true };
        assert_eq!(sentence(End::Status(1)), "exited with status 1");
        assert_eq!(sentence(killed), "was killed by signal 9 (SIGKILL)");
        assert_eq!(sentence(crashed), "was killed by signal 11 (SIGSEGV); core dumped");
    }
}
