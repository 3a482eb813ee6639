//! The setting `collector`: the collectors that an agent can report to.

use std::fmt;

use fleetgauge_common::endpoint::Endpoint;
use fleetgauge_common::settings::{Layers, SettingError};

/// Maximum number of entries of the setting. Larger fleets of collectors have a DNS name.
pub const MAX_COLLECTORS: usize = 64;

/// Marks the name of SRV records.
const SRV_PREFIX: &str = "srv+";
/// Longest name that DNS can have, in bytes.
const MAX_NAME_BYTES: usize = 253;

/// An entry of the setting `collector`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collector {
    /// A collector. A DNS name can have the addresses of several.
    Endpoint(Endpoint),
    /// SRV records that name the collectors.
    Srv(SrvName),
}

/// The name of SRV records: `_SERVICE._PROTOCOL.DOMAIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvName(Box<str>);

impl Collector {
    /// Parses `HOST:PORT` or `srv+NAME`. Does not resolve names.
    ///
    /// # Errors
    /// The text is neither; the error describes the format.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix(SRV_PREFIX) {
            Some(name) => SrvName::parse(name).map(Self::Srv),
            None => Endpoint::parse(text).map(Self::Endpoint),
        }
    }

    /// Returns whether this is an IP address other than a loopback address.
    fn is_other_host(&self) -> bool {
        matches!(self, Self::Endpoint(endpoint) if endpoint.is_other_host())
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(endpoint) => endpoint.fmt(f),
            Self::Srv(name) => write!(f, "{SRV_PREFIX}{}", name.as_str()),
        }
    }
}

impl SrvName {
    fn parse(name: &str) -> Result<Self, String> {
        let labels: Vec<_> = name.split('.').collect();
        let is_label = |label: &&str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        let is_name = match &*labels {
            [service, protocol, domain, ..] => {
                service.starts_with('_') && protocol.starts_with('_') && !domain.starts_with('_')
            }
            _ => false,
        };
        if is_name && labels.iter().all(is_label) && name.len() <= MAX_NAME_BYTES {
            return Ok(Self(name.into()));
        }
        Err("must name SRV records, such as srv+_fleetgauge._tcp.example.com".to_owned())
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the domain, without service and protocol.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.splitn(3, '.').nth(2).unwrap_or_default()
    }
}

/// The collectors to report to: 1 to [`MAX_COLLECTORS`], each once. The agent's id decides in which
/// order they are tried, not the order here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collectors(Box<[Collector]>);

impl Collectors {
    /// Creates the list. Collectors given twice count once.
    ///
    /// # Errors
    /// There are no collectors, or more than [`MAX_COLLECTORS`].
    pub fn try_new(collectors: impl IntoIterator<Item = Collector>) -> Result<Self, String> {
        let mut list: Vec<Collector> = Vec::new();
        for collector in collectors {
            if list.contains(&collector) {
                continue;
            }
            if list.len() == MAX_COLLECTORS {
                return Err(format!(
                    "has more than {MAX_COLLECTORS} collectors; use a DNS name with several \
                     addresses"
                ));
            }
            list.push(collector);
        }
        if list.is_empty() {
            return Err("is empty; give at least one collector".to_owned());
        }
        Ok(Self(list.into()))
    }

    /// Returns the first entry that is the IP address of another host.
    pub(super) fn other_host(&self) -> Option<&Collector> {
        self.iter().find(|collector| collector.is_other_host())
    }

    /// Returns the collectors in the order of the setting.
    pub fn iter(&self) -> std::slice::Iter<'_, Collector> {
        self.0.iter()
    }
}

impl From<Endpoint> for Collectors {
    fn from(collector: Endpoint) -> Self {
        Self(Box::new([Collector::Endpoint(collector)]))
    }
}

/// The default of the setting: the collector on this host.
impl Default for Collectors {
    fn default() -> Self {
        Endpoint::default().into()
    }
}

impl<'a> IntoIterator for &'a Collectors {
    type Item = &'a Collector;
    type IntoIter = std::slice::Iter<'a, Collector>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Formats the collectors as in a flag: separated by commas.
impl fmt::Display for Collectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, collector) in self.iter().enumerate() {
            let separator = if n == 0 { "" } else { "," };
            write!(f, "{separator}{collector}")?;
        }
        Ok(())
    }
}

/// Returns the collectors.
pub(super) fn collectors(layers: &mut Layers) -> Collectors {
    let texts = layers.list("collector");
    if texts.iter().any(|text| Collector::parse(text).is_err()) {
        // Already recorded as an error.
        return Collectors::default();
    }
    let parsed = texts.iter().filter_map(|text| Collector::parse(text).ok());
    let list = Collectors::try_new(parsed);
    let list = list.map_err(|problem| SettingError::new("collector", problem));
    layers.accept(list).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ports: std::ops::Range<u16>) -> Result<Collectors, String> {
        Collectors::try_new(ports.map(|port| Collector::parse(&format!("c:{port}")).unwrap()))
    }

    #[test]
    fn collectors_given_twice_count_once() {
        let twice = ["b:1", "a:1", "b:1"].map(|text| Collector::parse(text).unwrap());
        assert_eq!(Collectors::try_new(twice).unwrap().to_string(), "b:1,a:1");
    }

    #[test]
    fn names_of_srv_records_are_parsed() {
        let text = "srv+_fleetgauge._tcp.collectors.example.com";
        let Ok(Collector::Srv(name)) = Collector::parse(text) else { panic!("not a name") };
        assert_eq!(name.as_str(), "_fleetgauge._tcp.collectors.example.com");
        assert_eq!(name.domain(), "collectors.example.com");
        assert_eq!(Collector::Srv(name).to_string(), text);
        let long = format!("srv+_a._tcp.{}com", "x.".repeat(130));
        for text in [
            "srv+",
            "srv+example.com",
            "srv+_a._tcp",
            "srv+_a._tcp.",
            "srv+_a._tcp.a..b",
            "srv+_a._tcp.a b",
            "srv+_a._tcp.example.com:45678",
            "srv+_a._tcp._b",
            "SRV+_a._tcp.example.com",
            &long,
        ] {
            assert!(Collector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn list_has_one_to_64_collectors() {
        assert!(list(1..1).unwrap_err().starts_with("is empty"));
        assert_eq!(list(1..65).unwrap().iter().count(), MAX_COLLECTORS);
        assert!(list(1..66).unwrap_err().starts_with("has more than 64 collectors"));
    }
}
