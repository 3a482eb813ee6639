//! SHA-256 digests of tokens. A random token cannot be derived from its digest.

use std::collections::HashSet;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Prefix of a digest in a credentials file.
const PREFIX: &str = "sha256:";
/// White space characters. A secret that has no other characters is blank.
const WHITE_SPACE: [u8; 4] = *b" \t\r\n";
/// Maximum length of the blank secrets in [`BLANK`], in bytes: two CRLF line ends.
const MAX_BLANK_BYTES: usize = 4;

/// Digests of all blank secrets up to [`MAX_BLANK_BYTES`].
static BLANK: LazyLock<HashSet<Digest>> = LazyLock::new(|| {
    let longer = |shorter: &Vec<Vec<u8>>| {
        let and = |blank: &Vec<u8>, byte| [blank.as_slice(), &[byte]].concat();
        let one = |blank| WHITE_SPACE.iter().map(move |byte| and(blank, *byte));
        Some(shorter.iter().flat_map(one).collect())
    };
    let by_length = std::iter::successors(Some(vec![Vec::new()]), longer);
    by_length.take(MAX_BLANK_BYTES + 1).flatten().map(|blank| Digest::of(&blank)).collect()
});

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    /// Computes the digest of a token.
    pub(super) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Parses `sha256:` and 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(digest))
    }

    /// Formats the digest as `sha256:` and 64 hexadecimal digits.
    pub(super) fn text(&self) -> String {
        format!("{PREFIX}{}", hex(&self.0))
    }

    /// Compares two digests in constant time.
    pub(super) fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }

    /// Whether this is the digest of a short blank secret, such as an empty file or a line end.
    pub(super) fn is_of_blank(&self) -> bool {
        BLANK.contains(self)
    }
}

/// Whether a secret is empty or white space. Such a secret is never valid.
pub(super) fn is_blank(secret: &[u8]) -> bool {
    secret.trim_ascii().is_empty()
}

/// Formats bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Does not print the digest, because a weak token could be found from it by trying.
impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}
