//! Interned agent versions. A fleet has few versions, so an agent stores two bytes.

use parking_lot::Mutex;

/// Maximum interned versions in the lifetime of the collector.
const MAX_VERSIONS: usize = 1024;

/// An interned version. [`AgentVersion::default`] stands for a version that is not interned.
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
    pub const fn from_u16(compact: u16) -> Self {
        Self(compact)
    }
}

/// All interned versions.
#[derive(Debug, Default)]
pub struct AgentVersions(Mutex<Vec<Box<str>>>);

impl AgentVersions {
    /// Interns a version if the limit allows it.
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
