//! Who may read the pages: `Authorization` as Prometheus and browsers send it, bearer or basic.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use subtle::{Choice, ConstantTimeEq};

use super::BadFile;
use super::digest::{Digest, is_blank};
use super::entries::Reading;

/// How an entry is written.
const FORM: &str = "[[credential]] with user = \"prometheus\" and tokens = [\"sha256:…\"]";
/// Most entries: all are looked at for each request.
const MAX_READERS: usize = 1_000;

/// An entry of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: String,
    tokens: Vec<String>,
}

/// Those who may read.
#[derive(Debug)]
pub struct Readers(Vec<Reader>);

#[derive(Debug)]
struct Reader {
    user: String,
    tokens: Vec<Digest>,
}

/// Why somebody may not read: for the log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// The request carries no credential.
    NoCredential,
    /// It carries one of another kind than bearer and basic, or a broken one.
    NotUnderstood,
    /// Nobody has it.
    Wrong,
}

impl Unread {
    /// The name under which it is logged.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::NotUnderstood => "not_understood",
            Self::Wrong => "wrong_token",
        }
    }
}

impl Readers {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, everybody may read it, or the first line that is not right.
    pub fn read(path: &Path) -> Result<Self, BadFile> {
        let reading = Reading::new(path, FORM)?;
        let mut readers: Vec<Reader> = Vec::new();
        reading.each(|Entry { user, tokens }, place| {
            let bad = |problem: String| reading.bad(place, problem);
            check_user(&user).map_err(bad)?;
            if readers.iter().any(|known| known.user == user) {
                return Err(bad(format!("user {user:?} has an entry already")));
            }
            if readers.len() == MAX_READERS {
                return Err(bad(format!("there are more than {MAX_READERS} users")));
            }
            let tokens = reading.digests(place, &tokens)?;
            readers.push(Reader { user, tokens });
            Ok(())
        })?;
        Ok(Self(readers))
    }

    /// Whether a request with this `Authorization` may be answered.
    ///
    /// # Errors
    /// It may not.
    pub fn allow(&self, authorization: Option<&[u8]>) -> Result<(), Unread> {
        let header = authorization.ok_or(Unread::NoCredential)?;
        let header = std::str::from_utf8(header).map_err(|_| Unread::NotUnderstood)?;
        let (scheme, rest) = header.trim().split_once(' ').ok_or(Unread::NotUnderstood)?;
        let rest = rest.trim_start();
        let known = if scheme.eq_ignore_ascii_case("bearer") {
            self.knows(None, rest.as_bytes())
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = BASE64_STANDARD.decode(rest).map_err(|_| Unread::NotUnderstood)?;
            let colon = pair.iter().position(|byte| *byte == b':').ok_or(Unread::NotUnderstood)?;
            self.knows(Some(&pair[..colon]), &pair[colon + 1..])
        } else {
            return Err(Unread::NotUnderstood);
        };
        if known { Ok(()) } else { Err(Unread::Wrong) }
    }

    /// Whether somebody, or this user, has the token; all are looked at. Nobody has a blank one.
    fn knows(&self, user: Option<&[u8]>, token: &[u8]) -> bool {
        if is_blank(token) {
            return false;
        }
        let digest = Digest::of(token);
        let known = self.0.iter().fold(Choice::from(0), |known, reader| {
            let is_asked = user.map_or(Choice::from(1), |user| reader.user.as_bytes().ct_eq(user));
            let has = |known, own: &Digest| known | own.matches(&digest);
            known | is_asked & reader.tokens.iter().fold(Choice::from(0), has)
        });
        known.into()
    }
}

/// Whether a reader may be called so: it must fit before the colon of basic authentication.
pub(super) fn check_user(user: &str) -> Result<(), String> {
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        return Err(format!("user {user:?} is empty, or has a colon or a control in it"));
    }
    Ok(())
}
