//! Identity of a credential across reloads.

/// Number of a credential, never reused: a credential that was removed and added again has another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CredentialId(u32);

impl CredentialId {
    /// No credential.
    pub const NONE: Self = Self(0);

    /// Creates the id with this number; 0 is [`Self::NONE`].
    #[must_use]
    pub const fn from_u32(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn to_u32(self) -> u32 {
        self.0
    }
}
