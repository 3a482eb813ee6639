//! New tokens, each with the entry that makes it known to a collector.

use rustls::crypto::ring;

use super::digest::{Digest, hex};
use super::{readers, tokens};

/// Random bytes of a token: too many for anybody to find it by its SHA-256.
const RANDOM_BYTES: usize = 32;

/// A token that nobody has yet.
pub struct NewToken {
    /// What the agent or the reader shows: one line of visible ASCII, without its end.
    pub token: String,
    /// Text to append to the collector's file of credentials, with a line end before and after.
    pub entry: String,
}

impl NewToken {
    /// Makes the token of an agent id, or of all ids that a pattern such as `web-*` covers.
    ///
    /// # Errors
    /// It is neither an id nor a pattern, or the system has no random numbers.
    pub fn for_agent(agent: &str) -> Result<Self, String> {
        tokens::Whose::parse(agent)?;
        Self::make("agent", agent)
    }

    /// Makes the token of an HTTP reader: a bearer token, or the password of basic authentication.
    ///
    /// # Errors
    /// It is no legal name, or the system has no random numbers.
    pub fn for_user(user: &str) -> Result<Self, String> {
        readers::check_user(user)?;
        Self::make("user", user)
    }

    fn make(key: &str, name: &str) -> Result<Self, String> {
        let mut random = [0; RANDOM_BYTES];
        let filled = ring::default_provider().secure_random.fill(&mut random);
        filled.map_err(|_| "the system has no random numbers; try again".to_owned())?;
        let token = hex(&random);
        let digest = Digest::of(token.as_bytes()).text();
        // A string of JSON is one of TOML.
        let name = serde_json::Value::from(name);
        let entry = format!("\n[[credential]]\n{key} = {name}\ntokens = [\"{digest}\"]\n");
        Ok(Self { token, entry })
    }
}

/// The token is not shown.
impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken").finish_non_exhaustive()
    }
}
