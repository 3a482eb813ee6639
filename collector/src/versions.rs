//! The versions that agents say they are of, each kept once: a fleet has few, and an agent costs two bytes.

use parking_lot::Mutex;

/// Most versions that are kept, over the collector's life.
const MOST: usize = 1024;

/// A version that is kept, or [`Version::default`] for one that is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u16);

impl Version {
    /// As a number that takes little room.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The version that gave this number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }
}

/// All versions met so far.
#[derive(Debug, Default)]
pub struct Versions(Mutex<Vec<Box<str>>>);

impl Versions {
    /// Keeps a version if there is room.
    pub fn keep(&self, text: &str) -> Version {
        let mut kept = self.0.lock();
        let place = kept.iter().position(|one| **one == *text).or_else(|| {
            let room = kept.len() < MOST && !text.is_empty();
            room.then(|| {
                kept.push(text.into());
                kept.len() - 1
            })
        });
        let number = place.and_then(|place| u16::try_from(place + 1).ok());
        Version(number.unwrap_or_default())
    }

    /// A version's text, if it is kept.
    pub fn text(&self, version: Version) -> Option<Box<str>> {
        let place = usize::from(version.0).checked_sub(1)?;
        self.0.lock().get(place).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_versions_are_kept_and_no_more() {
        let versions = Versions::default();
        let first = versions.keep("0.1.0");
        assert_eq!(versions.keep("0.1.0"), first);
        for n in 0..3000 {
            versions.keep(&n.to_string());
        }
        assert_eq!(versions.text(first).as_deref(), Some("0.1.0"));
        assert_eq!(versions.text(versions.keep("1022")).as_deref(), Some("1022"));
        assert_eq!(versions.text(versions.keep("1023")), None);
        assert_eq!(versions.text(versions.keep("")), None);
        assert_eq!(versions.0.lock().len(), MOST);
    }
}
