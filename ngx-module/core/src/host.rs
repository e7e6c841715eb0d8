//! The host names of requests: whether a web page that rebinds DNS could have chosen one.
//!
//! A page of `attacker.example` can have its own name resolve to the address of this machine. A browser then sends
//! requests here, with that name as `Host`, and lets the page read the responses. The page cannot choose an address, or
//! a name that public DNS does not resolve.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Domains that cannot be registered: RFC 6761, RFC 6762, and ICANN for `internal`.
const RESERVED: [&[u8]; 4] = [b"localhost", b"local", b"internal", b"test"];

/// Whether an attacker's page cannot have this name: an address, a name without a dot, or one in a reserved domain.
/// Browsers always send a name.
pub fn is_safe_from_rebinding(host: &[u8]) -> bool {
    let end = host.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    !host.contains(&b'.')
        || is_address(host)
        || RESERVED.iter().any(|reserved| end.eq_ignore_ascii_case(reserved))
}

fn is_address(host: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(host) else { return false };
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => text.parse::<Ipv4Addr>().is_ok(),
    }
}

/// How exactly a `server_name` matches a host. nginx prefers the greatest, and the first of several regular expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameMatch {
    /// A regular expression.
    Regex,
    /// `www.example.*`, of this length.
    WildcardEnd(usize),
    /// `*.example.org` or `.example.org`, of this length.
    WildcardStart(usize),
    /// The same name.
    Exact,
}

/// Returns how a `server_name` without a regular expression matches the host.
pub fn match_name(server_name: &[u8], host: &[u8]) -> Option<NameMatch> {
    let ends_with =
        |end: &[u8]| host.len() > end.len() && host[host.len() - end.len()..].eq_ignore_ascii_case(end);
    let at_start = |end: &[u8]| ends_with(end).then_some(NameMatch::WildcardStart(end.len()));
    let exact = |name: &[u8]| host.eq_ignore_ascii_case(name).then_some(NameMatch::Exact);
    match server_name {
        [b'*', end @ ..] => at_start(end),
        [b'.', name @ ..] => exact(name).or_else(|| at_start(server_name)),
        [begin @ .., b'*'] if begin.ends_with(b".") => {
            let matches = host.len() > begin.len() && host[..begin.len()].eq_ignore_ascii_case(begin);
            matches.then_some(NameMatch::WildcardEnd(begin.len()))
        }
        name => exact(name),
    }
}

/// Whether a `server_name` states how clients name the server: not `_`, the empty name, `localhost` and the like, which
/// match any name where the server is the default one.
pub fn is_specific(server_name: &[u8]) -> bool {
    server_name.contains(&b'.')
}

/// Whether this is a loopback address.
pub fn is_loopback(address: &[u8]) -> bool {
    let address = str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok());
    address.is_some_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_reserved_names_are_safe_from_rebinding() {
        for host in [
            "",
            "localhost",
            "a.localhost",
            "127.0.0.1",
            "192.0.2.7",
            "[::1]",
            "web1",
            "a.LOCAL",
            "x.internal",
        ] {
            assert!(is_safe_from_rebinding(host.as_bytes()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "1.2.3",
            "0x7f.1",
            "notlocalhost.net",
            "a.b]",
            "[a.b]",
            ".",
            "evil.",
        ] {
            assert!(!is_safe_from_rebinding(host.as_bytes()), "{host}");
        }
        assert!(!is_safe_from_rebinding(b"\xff.example"));
    }

    #[test]
    fn a_server_name_matches_by_the_rules_of_nginx() {
        for (name, host, expected) in [
            ("example.org", "EXAMPLE.org", true),
            ("example.org", "www.example.org", false),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "evilexample.org", false),
            (".example.org", "example.org", true),
            (".example.org", "www.example.org", true),
            (".example.org", "evilexample.org", false),
            ("www.example.*", "www.example.net", true),
            ("www.example.*", "www.example.", false),
            ("www.example.*", "www.examples.net", false),
            ("_", "evil.example", false),
            ("", "evil.example", false),
            ("*", "evil.example", true),
        ] {
            assert_eq!(match_name(name.as_bytes(), host.as_bytes()).is_some(), expected, "{name} {host}");
        }
    }

    #[test]
    fn the_more_exact_name_is_preferred() {
        let names = ["shop.*", ".org", "*.example.org", "shop.example.org"];
        let matches = names.map(|name| match_name(name.as_bytes(), b"shop.example.org").unwrap());
        assert!(NameMatch::Regex < matches[0] && matches.is_sorted(), "{matches:?}");
    }

    #[test]
    fn only_a_name_with_a_dot_is_specific() {
        assert!(
            ["example.org", "*.example.org", ".org", "www.*"].iter().all(|name| is_specific(name.as_bytes()))
        );
        assert!(!["", "_", "localhost", "web1"].iter().any(|name| is_specific(name.as_bytes())));
    }

    #[test]
    fn loopback_addresses_are_recognised() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.168.1.1", false),
            ("2001:db8::1", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(address.as_bytes()), expected, "{address}");
        }
    }
}
