//! The address at which Prometheus scrapes this collector.

use std::net::Ipv6Addr;

/// Maximum length of a DNS name, in bytes.
const HOST_BYTES: usize = 253;

/// A scrape target: a host and an optional port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeTarget(String);

impl ScrapeTarget {
    /// Parses `HOST` or `HOST:PORT`, where the host may be an IPv6 address in brackets.
    #[must_use]
    pub fn try_new(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let legal = is_host(host) && port.is_none_or(is_port);
        legal.then(|| Self(text.to_owned()))
    }

    /// Whether the target has a port.
    #[must_use]
    pub fn has_port(&self) -> bool {
        self.0.rsplit_once(':').is_some_and(|(_, port)| is_port(port))
    }

    /// Returns the text that was parsed.
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
    fn scrape_target_is_a_host_with_an_optional_port() {
        for (text, has_port) in [
            ("127.0.0.1:1234", true),
            ("[::1]:1234", true),
            ("[2001:db8::1]", false),
            ("metrics.example.com:65535", true),
            ("collector", false),
        ] {
            assert_eq!(ScrapeTarget::try_new(text).map(|target| target.has_port()), Some(has_port));
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
            assert_eq!(ScrapeTarget::try_new(text), None, "{text:?}");
        }
    }
}
