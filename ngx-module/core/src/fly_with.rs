//! The value of `passenger_fly_with`: a socket or the name of an upstream block.

/// Where requests are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlyWith {
    /// The daemon's unix socket.
    Socket(String),
    /// An `upstream {}` block from the configuration.
    Upstream(String),
}

impl FlyWith {
    /// Parses the value: `unix:/path` and an absolute path are sockets, anything else is a name.
    ///
    /// # Errors
    ///
    /// The requirement that the value does not meet.
    pub fn parse(value: &str) -> Result<Self, String> {
        let path = match value.strip_prefix("unix:") {
            Some(path) => path,
            None if value.starts_with('/') => value,
            None if value.is_empty() || value.contains('/') => {
                return Err(
                    "must be the path of a socket, such as unix:/run/flying-passenger.sock, or the name \
                            of an upstream block"
                        .to_owned(),
                );
            }
            None => return Ok(Self::Upstream(value.to_owned())),
        };
        if !path.starts_with('/') {
            return Err("must be an absolute path".to_owned());
        }
        // In a URL nginx ends a unix socket's name at a colon; the other characters would end a word of its
        // configuration.
        if let Some(bad) = path.chars().find(|c| c.is_whitespace() || ":;{}\"'\\$#".contains(*c)) {
            return Err(format!("must not contain '{bad}'"));
        }
        if path.len() > MAX_SOCKET_PATH {
            return Err(format!("must be a path of at most {MAX_SOCKET_PATH} bytes"));
        }
        Ok(Self::Socket(path.to_owned()))
    }
}

/// Size of `sun_path` without its final zero.
const MAX_SOCKET_PATH: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_socket_in_both_forms() {
        let socket = Ok(FlyWith::Socket("/run/fp.sock".into()));
        assert_eq!(FlyWith::parse("/run/fp.sock"), socket);
        assert_eq!(FlyWith::parse("unix:/run/fp.sock"), socket);
    }

    #[test]
    fn a_name_is_an_upstream() {
        assert_eq!(FlyWith::parse("apps"), Ok(FlyWith::Upstream("apps".into())));
    }

    #[test]
    fn rejects_neither_path_nor_name() {
        for word in ["", "http://x", "run/socket", "unix:socket", "/a b", "/a;b", "/a:b", "/a$b"] {
            assert!(FlyWith::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn rejects_a_path_too_long_for_the_kernel() {
        assert!(FlyWith::parse(&format!("/{}", "x".repeat(106))).is_ok());
        assert!(FlyWith::parse(&format!("/{}", "x".repeat(107))).is_err());
    }
}
