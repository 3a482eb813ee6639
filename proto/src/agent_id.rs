//! Agent ids.

use std::borrow::Borrow;
use std::fmt;

use crate::limits::MAX_AGENT_ID_BYTES;
use crate::names::excerpt;
use crate::violation::Violation;

/// A valid agent id: 1 to 128 bytes of `[A-Za-z0-9._:-]`, neither `.` nor `..`.
///
/// ```
/// use fleetgauge_proto::{AgentId, Code};
///
/// let id = AgentId::try_new("web-1.fra.example")?;
/// assert_eq!(id.as_str(), "web-1.fra.example");
/// assert_eq!(AgentId::try_new("web 1").unwrap_err().code(), Code::BadAgentId);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentId(Box<str>);

impl AgentId {
    /// Validates an agent id.
    ///
    /// # Errors
    /// [`Violation::BadAgentId`].
    pub fn try_new(id: &str) -> Result<Self, Violation> {
        let legal = (1..=MAX_AGENT_ID_BYTES).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
            && id != "."
            && id != "..";
        if legal { Ok(Self(id.into())) } else { Err(Violation::BadAgentId(excerpt(id))) }
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the FNV-1a hash of the id: see [`fnv1a`].
    #[must_use]
    pub fn fnv1a(&self) -> u64 {
        fnv1a(&self.0)
    }
}

/// Returns the 64-bit FNV-1a hash of an id.
///
/// The hash selects an agent's shard and its sampling phase. It is stable across versions.
#[must_use]
pub fn fnv1a(id: &str) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    id.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

impl Borrow<str> for AgentId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_matches_the_published_test_vectors() {
        let hash = |id| AgentId::try_new(id).unwrap().fnv1a();
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }
}
