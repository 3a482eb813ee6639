//! The agents' versions, interned: a fleet has few, so an agent stores two bytes.

use parking_lot::Mutex;

/// Maximum versions that are interned during the lifetime of the collector.
const MAX_VERSIONS: usize = 1024;

/// An interned version; [`AgentVersion::default`] for one that is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentVersion(u16);

impl AgentVersion {
    /// Returns its compact form.
    #[must_use]
    pub const fn to_u16(self) -> u16 {
        self.0
    }

    /// Returns the version with this compact form.
    #[must_use]
    pub const fn from_u16(number: u16) -> Self {
        Self(number)
    }
}

/// All interned versions.
#[derive(Debug, Default)]
pub struct AgentVersions(Mutex<Vec<Box<str>>>);

impl AgentVersions {
    /// Interns a version if the limit allows it.
    pub fn intern(&self, text: &str) -> AgentVersion {
        let mut kept = self.0.lock();
        let index = kept.iter().position(|one| **one == *text).or_else(|| {
            let room = kept.len() < MAX_VERSIONS && !text.is_empty();
            room.then(|| {
                kept.push(text.into());
                kept.len() - 1
            })
        });
        let number = index.and_then(|index| u16::try_from(index + 1).ok());
        AgentVersion(number.unwrap_or_default())
    }

    /// Returns the text of a version, if it is interned.
    pub fn text(&self, version: AgentVersion) -> Option<Box<str>> {
        let index = usize::from(version.0).checked_sub(1)?;
        self.0.lock().get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_versions_are_kept_and_no_more() {
        let versions = AgentVersions::default();
        let first = versions.intern("0.1.0");
        assert_eq!(versions.intern("0.1.0"), first);
        for n in 0..3000 {
            versions.intern(&n.to_string());
        }
        assert_eq!(versions.text(first).as_deref(), Some("0.1.0"));
        assert_eq!(versions.text(versions.intern("1022")).as_deref(), Some("1022"));
        assert_eq!(versions.text(versions.intern("1023")), None);
        assert_eq!(versions.text(versions.intern("")), None);
        assert_eq!(versions.0.lock().len(), MAX_VERSIONS);
    }
}
