//! Interned agent versions. A fleet has few versions, so an agent stores two bytes.

use parking_lot::Mutex;

/// Maximum interned versions in the lifetime of the collector.
const MAX_VERSIONS: usize = 1024;

/// An interned version. [`AgentVersion::default`] stands for a version that is not interned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentVersion(u16);

impl AgentVersion {
    /// Returns the version as an integer.
    #[must_use]
    pub const fn to_u16(self) -> u16 {
        self.0
    }

    /// Returns the version that [`Self::to_u16`] converted to this integer.
    #[must_use]
    pub const fn from_u16(compact: u16) -> Self {
        Self(compact)
    }
}

/// The texts of all interned versions.
#[derive(Debug, Default)]
pub struct AgentVersions(Mutex<Vec<Box<str>>>);

impl AgentVersions {
    /// Interns a version. Returns the default if the limit is reached or the text is empty.
    pub fn intern(&self, text: &str) -> AgentVersion {
        let mut versions = self.0.lock();
        let index = versions.iter().position(|version| **version == *text).or_else(|| {
            let has_room = versions.len() < MAX_VERSIONS && !text.is_empty();
            has_room.then(|| {
                versions.push(text.into());
                versions.len() - 1
            })
        });
        let compact = index.and_then(|index| u16::try_from(index + 1).ok());
        AgentVersion(compact.unwrap_or_default())
    }

    /// Returns the text of a version; `None` if the version is not interned.
    pub fn text(&self, version: AgentVersion) -> Option<Box<str>> {
        let index = usize::from(version.0).checked_sub(1)?;
        self.0.lock().get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interned_versions_are_limited() {
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
