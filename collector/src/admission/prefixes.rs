//! IP prefix lists of the settings: load balancers, and addresses that are exempt from limits.

use std::net::IpAddr;

use ipnet::IpNet;

/// A list of IP prefixes, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefixes(Vec<IpNet>);

impl Prefixes {
    /// Parses prefixes and single addresses. Skips empty strings, so that an operator can set an
    /// empty list instead of the default.
    ///
    /// # Errors
    /// If a string is neither a prefix nor an address; the error is the first such string.
    pub fn try_new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, String> {
        let prefix = |text: &str| {
            let single = |text: &str| text.parse::<IpAddr>().map(IpNet::from);
            text.parse().or_else(|_| single(text)).map_err(|_| text.to_owned())
        };
        let mut prefixes = Vec::new();
        for text in texts {
            match text.as_ref().trim() {
                "" => {}
                text => prefixes.push(prefix(text)?),
            }
        }
        Ok(Self(prefixes))
    }

    /// Appends another list.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Whether a prefix contains the address.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|prefix| prefix.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(prefixes: &[&str], address: &str) -> bool {
        Prefixes::try_new(prefixes).unwrap().contain(address.parse().unwrap())
    }

    #[test]
    fn prefixes_contain_their_addresses_only() {
        let prefixes = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", ""];
        for inside in ["10.255.0.1", "192.0.2.7", "2001:db8:1::9", "::ffff:10.1.2.3"] {
            assert!(contain(&prefixes, inside), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::1"] {
            assert!(!contain(&prefixes, outside), "{outside}");
        }
        assert!(!contain(&[], "127.0.0.1"));
        assert!(contain(&["0.0.0.0/0"], "203.0.113.1"));
    }

    #[test]
    fn invalid_prefixes_are_named_in_the_error() {
        for wrong in ["10.0.0.0/33", "10.0.0/8", "example.com", "10.0.0.1-10.0.0.9", "::/129"] {
            assert_eq!(Prefixes::try_new(["10.0.0.0/8", wrong]), Err(wrong.to_owned()));
        }
    }
}
