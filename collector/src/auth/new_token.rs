//! New random tokens and their entries for a credentials file.

use rustls::crypto::ring;

use super::digest::{Digest, hex};
use super::{http_users, tokens};

/// Number of random bytes in a token: enough that it cannot be found from its SHA-256 by trying.
const RANDOM_BYTES: usize = 32;

/// A new random token and its entry for a credentials file.
pub struct NewToken {
    /// The token: one line of printable ASCII, without a line end.
    pub token: String,
    /// The entry to append to a credentials file, with a line end before and after it.
    pub entry: String,
}

impl NewToken {
    /// Creates a token for an agent id or a pattern such as `web-*`.
    ///
    /// # Errors
    /// If the string is neither an id nor a pattern, or the operating system provides no random
    /// numbers.
    pub fn for_agent(agent: &str) -> Result<Self, String> {
        tokens::IdPattern::parse(agent)?;
        Self::make("agent", agent)
    }

    /// Creates a token for a user of the HTTP port: a bearer token, or a password.
    ///
    /// # Errors
    /// If the user name is invalid, or the operating system provides no random numbers.
    pub fn for_user(user: &str) -> Result<Self, String> {
        http_users::check_user(user)?;
        Self::make("user", user)
    }

    fn make(key: &str, name: &str) -> Result<Self, String> {
        let mut random = [0; RANDOM_BYTES];
        let filled = ring::default_provider().secure_random.fill(&mut random);
        filled
            .map_err(|_| "the operating system provided no random numbers; try again".to_owned())?;
        let token = hex(&random);
        let digest = Digest::of(token.as_bytes()).text();
        // A JSON string is a TOML string.
        let name = serde_json::Value::from(name);
        let entry = format!("\n[[credential]]\n{key} = {name}\ntokens = [\"{digest}\"]\n");
        Ok(Self { token, entry })
    }
}

/// Does not print the token.
impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken").finish_non_exhaustive()
    }
}
