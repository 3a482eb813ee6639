//! Ids of credentials. A session stores the id of its credential, and checks after a reload whether
//! the credential is still valid.

/// Id of a credential, never reused: a credential that was removed and added again gets a new id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CredentialId(u32);

impl CredentialId {
    /// No credential.
    pub const NONE: Self = Self(0);

    /// Creates an id; 0 is [`Self::NONE`].
    #[must_use]
    pub const fn from_u32(id: u32) -> Self {
        Self(id)
    }

    /// Returns the id as an integer.
    #[must_use]
    pub const fn to_u32(self) -> u32 {
        self.0
    }
}
