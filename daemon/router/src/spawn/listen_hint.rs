//! Detection of a start command that uses a variable which its `passenger_app_listen` does not set.

use protocol::request::AppKind;

use crate::app::route::Route;
use common::link::Listen;

/// Returns a hint for the report of a failed start; empty when the command uses no such variable.
pub(super) fn of(route: &Route) -> String {
    let settings = &route.settings;
    if route.kind != AppKind::Generic {
        return String::new();
    }
    let is_set = |name: &str| settings.process.env_var.iter().any(|(set, _)| set == name);
    hint(route.command(), settings.process.app_listen, is_set)
}

fn hint(command: &str, listen: Listen, is_set: impl Fn(&str) -> bool) -> String {
    let ways = [("PORT", Listen::Port), ("SOCKET", Listen::Socket)];
    let missing = |(name, way): &(&str, Listen)| *way != listen && uses(command, name) && !is_set(name);
    match ways.into_iter().find(missing) {
        None => String::new(),
        Some((name, way)) => format!(
            "; its start command uses ${name}, which is set with \"passenger_app_listen {}\" only: here it is \"{}\"",
            name_of(way),
            name_of(listen)
        ),
    }
}

fn name_of(listen: Listen) -> &'static str {
    match listen {
        Listen::Port => "port",
        Listen::Socket => "socket",
        Listen::Descriptor => "fd",
    }
}

/// Whether a shell expands the variable, and the command does not set it itself.
fn uses(command: &str, name: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let sets = command.match_indices(&format!("{name}=")).any(|(at, _)| !command[..at].ends_with(is_of_name));
    let expands = |begin: &str| {
        command.match_indices(begin).any(|(at, _)| !command[at + begin.len()..].starts_with(is_of_name))
    };
    !sets && (expands(&format!("${name}")) || expands(&format!("${{{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_another_way_to_listen_is_reported() {
        let of = |command: &str, listen| hint(command, listen, |name| name == "SET");
        let socket = of("gunicorn -b unix:$SOCKET shop:app", Listen::Port);
        let expected = "; its start command uses $SOCKET, which is set with \"passenger_app_listen socket\" only: here it \
                        is \"port\"";
        assert_eq!(socket, expected);
        assert!(
            of("./shop ${PORT}", Listen::Socket)
                .contains("$PORT, which is set with \"passenger_app_listen port\"")
        );
        assert!(of("./shop ${PORT:-1}", Listen::Descriptor).ends_with("here it is \"fd\""));
        for (command, listen) in [
            ("gunicorn -b unix:$SOCKET shop:app", Listen::Socket),
            ("./shop $PORT", Listen::Port),
            ("./shop $SOCKETS $PORTAL ${SOCKET_DIR}", Listen::Descriptor),
            ("SOCKET=/run/shop.sock; ./shop $SOCKET", Listen::Port),
            ("./shop SOCKET PORT", Listen::Descriptor),
        ] {
            assert_eq!(of(command, listen), "", "{command}");
        }
        assert!(!of("MY_SOCKET=1 ./shop $SOCKET", Listen::Port).is_empty());
        assert_eq!(
            hint("./shop $SOCKET", Listen::Port, |name| name == "SOCKET"),
            "",
            "passenger_env_var sets it"
        );
    }
}
