//! Where Prometheus reaches this collector, as it says so itself.

use std::net::Ipv6Addr;

/// Longest name of a host in the DNS.
const HOST_BYTES: usize = 253;

/// A scrape target: a host and, unless it is the scheme's own, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// `HOST`, `HOST:PORT`, or the same with an IPv6 address in brackets; `None` for anything else.
    #[must_use]
    pub fn try_new(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let legal = is_host(host) && port.is_none_or(is_port);
        legal.then(|| Self(text.to_owned()))
    }

    /// Whether it names a port.
    #[must_use]
    pub fn has_port(&self) -> bool {
        self.0.rsplit_once(':').is_some_and(|(_, port)| is_port(port))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=HOST_BYTES).contains(&text.len()) && text.bytes().all(legal)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_a_port() {
        for (text, has_port) in [
            ("127.0.0.1:1234", true),
            ("[::1]:1234", true),
            ("[2001:db8::1]", false),
            ("metrics.example.com:65535", true),
            ("collector", false),
        ] {
            assert_eq!(Target::try_new(text).map(|target| target.has_port()), Some(has_port));
        }
        let long = "x".repeat(254);
        for text in [
            "",
            ":",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:+80",
            "a:b",
            "a b",
            "a/b:80",
            "a:80/",
            "u@a:80",
            "[::1",
            "::1",
            "[::g]:80",
            "[127.0.0.1]:80",
            "a\"b:80",
            "\u{e9}:80",
            &long,
        ] {
            assert_eq!(Target::try_new(text), None, "{text:?}");
        }
    }
}
