//! Users of the HTTP port, and their bearer or basic authentication.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fleetgauge_common::secret_file::FileError;
use serde::Deserialize;

use super::credentials_file::Reading;
use super::digest::{Digest, is_blank};

/// Example of an entry in the users file, for error messages.
const FORM: &str = "[[credential]] with user = \"prometheus\" and tokens = [\"sha256:…\"]";
/// Maximum number of users in the file.
const MAX_READERS: usize = 1_000;

/// An entry of the users file, as parsed from TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: String,
    tokens: Vec<String>,
    #[serde(default)]
    may_forget: bool,
    #[serde(default)]
    may_drain: bool,
}

/// The users of the HTTP port.
#[derive(Debug)]
pub struct Readers {
    /// The users, in the order of the file.
    readers: Vec<Reader>,
    /// For each token digest, the indices of the users with this token. The time of a look-up can
    /// reveal a digest, but not the token.
    by_token: HashMap<Digest, Vec<usize>>,
}

/// A user of the HTTP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The user's name.
    pub user: Arc<str>,
    /// Whether the user may delete departed agents from the roster.
    pub may_forget: bool,
    /// Whether the user may ask agents to leave, for any other collector.
    pub may_drain: bool,
}

/// Why a request is denied. Logged, and never sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadDenied {
    /// The request carries no credential.
    NoCredential,
    /// The credential is neither bearer nor basic, or malformed.
    NotUnderstood,
    /// No user, or not the named one, has this token.
    Wrong,
    /// The user may read, but may not delete or drain agents as requested.
    NoRight,
}

impl ReadDenied {
    /// Returns the name of this cause in logs.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::NotUnderstood => "not_understood",
            Self::Wrong => "wrong_token",
            Self::NoRight => "no_right",
        }
    }
}

impl Readers {
    /// Reads the users file.
    ///
    /// # Errors
    /// If the file cannot be read, is world-readable or has an invalid entry; the error names the
    /// first one.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let reading = Reading::new(path, FORM)?;
        let mut readers: Vec<Reader> = Vec::new();
        let mut by_token: HashMap<_, Vec<_>> = HashMap::new();
        reading.each(|Entry { user, tokens, may_forget, may_drain }, offset| {
            let bad = |problem: String| reading.bad(offset, problem);
            check_user(&user).map_err(bad)?;
            if readers.iter().any(|known| *known.user == *user) {
                return Err(bad(format!("user {user:?} has two entries; remove one")));
            }
            if readers.len() == MAX_READERS {
                return Err(bad(format!("more than {MAX_READERS} users; remove some")));
            }
            for digest in reading.digests(offset, &tokens)? {
                by_token.entry(digest).or_default().push(readers.len());
            }
            readers.push(Reader { user: user.into(), may_forget, may_drain });
            Ok(())
        })?;
        Ok(Self { readers, by_token })
    }

    /// Returns the user of a request with this `Authorization` header. A bearer token that several
    /// users share belongs to the first of them in the file.
    ///
    /// # Errors
    /// [`ReadDenied`]
    pub fn allow(&self, authorization: Option<&[u8]>) -> Result<&Reader, ReadDenied> {
        let header = authorization.ok_or(ReadDenied::NoCredential)?;
        let header = std::str::from_utf8(header).map_err(|_| ReadDenied::NotUnderstood)?;
        let (scheme, rest) = header.trim().split_once(' ').ok_or(ReadDenied::NotUnderstood)?;
        let rest = rest.trim_start();
        let known = if scheme.eq_ignore_ascii_case("bearer") {
            self.find(None, rest.as_bytes())
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = BASE64_STANDARD.decode(rest).map_err(|_| ReadDenied::NotUnderstood)?;
            let colon =
                pair.iter().position(|byte| *byte == b':').ok_or(ReadDenied::NotUnderstood)?;
            self.find(Some(&pair[..colon]), &pair[colon + 1..])
        } else {
            return Err(ReadDenied::NotUnderstood);
        };
        known.ok_or(ReadDenied::Wrong)
    }

    /// Returns the first user with this token and, if `user` is given, this name. A blank token is
    /// never valid.
    fn find(&self, user: Option<&[u8]>, token: &[u8]) -> Option<&Reader> {
        if is_blank(token) {
            return None;
        }
        let owners = self.by_token.get(&Digest::of(token))?;
        let mut owners = owners.iter().filter_map(|index| self.readers.get(*index));
        owners.find(|reader| user.is_none_or(|user| reader.user.as_bytes() == user))
    }
}

/// Checks a user name. It may not contain a colon, which ends the user name in basic
/// authentication.
pub(super) fn check_user(user: &str) -> Result<(), String> {
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        return Err(format!(
            "user {user:?} is empty, or has a colon or a control character; choose another name"
        ));
    }
    Ok(())
}
