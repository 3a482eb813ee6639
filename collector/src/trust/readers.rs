//! Who may read the pages: `Authorization` as Prometheus and browsers send it, bearer or basic.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::BadFile;
use super::digest::{Digest, is_blank};
use super::entries::Reading;

/// How an entry is written.
const FORM: &str = "[[credential]] with user = \"prometheus\" and tokens = [\"sha256:…\"]";
/// Most entries: far more than any fleet has programs that read its pages.
const MAX_READERS: usize = 1_000;

/// An entry of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: String,
    tokens: Vec<String>,
    #[serde(default)]
    may_forget: bool,
}

/// Those who may read.
#[derive(Debug)]
pub struct Readers {
    /// In the order of the file.
    readers: Vec<Reader>,
    /// Who has a token. Timing this look-up can tell no more than the file's digests, which let nobody in.
    by_token: HashMap<Digest, Vec<usize>>,
}

/// Who sent a request, by its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The user's name.
    pub user: Arc<str>,
    /// Whether it may delete departed agents from the roster.
    pub may_forget: bool,
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
    /// Its user may read, and not do what the request asks for.
    NoRight,
}

impl Unread {
    /// The name under which it is logged.
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
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, everybody may read it, or the first line that is not right.
    pub fn read(path: &Path) -> Result<Self, BadFile> {
        let reading = Reading::new(path, FORM)?;
        let mut readers: Vec<Reader> = Vec::new();
        let mut by_token: HashMap<_, Vec<_>> = HashMap::new();
        reading.each(|Entry { user, tokens, may_forget }, place| {
            let bad = |problem: String| reading.bad(place, problem);
            check_user(&user).map_err(bad)?;
            if readers.iter().any(|known| *known.user == *user) {
                return Err(bad(format!("user {user:?} has an entry already")));
            }
            if readers.len() == MAX_READERS {
                return Err(bad(format!("there are more than {MAX_READERS} users")));
            }
            for digest in reading.digests(place, &tokens)? {
                by_token.entry(digest).or_default().push(readers.len());
            }
            readers.push(Reader { user: user.into(), may_forget });
            Ok(())
        })?;
        Ok(Self { readers, by_token })
    }

    /// Who sent a request with this `Authorization`. A bearer token that several users share is that of the first of
    /// them in the file.
    ///
    /// # Errors
    /// It may not be answered.
    pub fn allow(&self, authorization: Option<&[u8]>) -> Result<&Reader, Unread> {
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
        known.ok_or(Unread::Wrong)
    }

    /// Who has the token: this user, or the first one. Nobody has a blank one.
    fn knows(&self, user: Option<&[u8]>, token: &[u8]) -> Option<&Reader> {
        if is_blank(token) {
            return None;
        }
        let owners = self.by_token.get(&Digest::of(token))?;
        let mut owners = owners.iter().filter_map(|place| self.readers.get(*place));
        owners.find(|reader| user.is_none_or(|user| reader.user.as_bytes() == user))
    }
}

/// Whether a reader may be called so: it must fit before the colon of basic authentication.
pub(super) fn check_user(user: &str) -> Result<(), String> {
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        return Err(format!("user {user:?} is empty, or has a colon or a control in it"));
    }
    Ok(())
}
