//! The address of a server: `HOST:PORT`.

/// Address of a server: a host name or IP address, and a port other than 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Box<str>,
    port: u16,
}

/// Longest host name that DNS can have, in bytes.
const MAX_HOST_BYTES: usize = 253;

impl Default for Endpoint {
    /// Returns the default address of a collector on this host.
    fn default() -> Self {
        Self { host: "127.0.0.1".into(), port: 45678 }
    }
}

impl Endpoint {
    /// Parses `host:port`, `1.2.3.4:port` or `[2001:db8::1]:port`. Does not resolve names.
    ///
    /// # Errors
    /// The text is not an address; the error describes the format.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::split(text).ok_or_else(|| {
            "must be HOST:PORT, such as collector.example.com:45678 or [2001:db8::1]:45678"
                .to_owned()
        })
    }

    fn split(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok().map(|_| inner)?,
            None => Some(host).filter(|host| is_name(host))?,
        };
        Some(Self { host: host.into(), port })
    }

    /// Returns the host name or IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns whether the host is an IP address other than a loopback address. False for a name,
    /// which is not resolved.
    #[must_use]
    pub fn is_other_host(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok_and(|address| !address.is_loopback())
    }

    /// Returns the port, which is never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// Returns whether `host` has the form of a host name or an IPv4 address.
fn is_name(host: &str) -> bool {
    (1..=MAX_HOST_BYTES).contains(&host.len())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_parsed() {
        for text in ["collector:45678", "127.0.0.1:1", "a-b.example:65535", "[::1]:45678"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        let six = Endpoint::parse("[2001:db8::1]:7").unwrap();
        assert_eq!((six.host(), six.port()), ("2001:db8::1", 7));
    }

    #[test]
    fn only_other_addresses_are_other_hosts() {
        for (text, other) in [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("192.0.2.1:1", true),
            ("[2001:db8::1]:1", true),
            ("localhost:1", false),
            ("collector.example:1", false),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().is_other_host(), other, "{text}");
        }
    }

    #[test]
    fn other_text_is_an_error() {
        let long = format!("{}:1", "x".repeat(254));
        for text in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:65536",
            "host:+1",
            "::1:45678",
            "[::1]",
            "[host]:1",
            "http://host:1",
            "a b:1",
            "host:1/x",
            "ho\u{1b}st:1",
            &long,
        ] {
            Endpoint::parse(text).unwrap_err();
        }
    }
}
