//! The form of a file of credentials: TOML, an entry a credential, with the digests of its tokens.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::digest::Digest;
use super::secret_file::{self, BadFile};

/// Most bytes of a file: 400,000 entries of one token, 200,000 of two.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Tokens that are valid at once for one credential: the one in use, and the one that takes its place.
const MAX_TOKENS: usize = 2;

/// What is wrong with the digest of a blank secret: usually one of a file that was not there yet.
const BLANK: &str = "a token is the SHA-256 of an empty text or of white space, so an empty \
                     password would do; make a token and its entry with: \
                     fleetgauge-collector token";

/// How an entry begins; where it begins otherwise it is an entry as well.
const START: &str = "\n[[credential]]";
/// Entries that are parsed at once: the parser takes thirty times the room of their text.
const AT_ONCE: usize = 1_000;

/// Where in the file an entry begins, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

/// The file, or a part of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries<T> {
    #[serde(default = "Vec::new")]
    credential: Vec<toml::Spanned<T>>,
}

/// A file of credentials, entry by entry; `form` shows one as it should be.
pub(super) struct Reading<'a> {
    path: &'a Path,
    text: String,
    form: &'static str,
}

impl<'a> Reading<'a> {
    /// Reads the file.
    pub(super) fn new(path: &'a Path, form: &'static str) -> Result<Self, BadFile> {
        Ok(Self { path, text: secret_file::read(path, MAX_FILE_BYTES)?, form })
    }

    /// Gives every entry, and where it begins, to `take`; there is at least one.
    pub(super) fn each<T: DeserializeOwned>(
        &self,
        mut take: impl FnMut(T, Place) -> Result<(), BadFile>,
    ) -> Result<(), BadFile> {
        let (mut begin, mut none) = (0, true);
        let starts = self.text.match_indices(START).map(|(at, _)| at + 1);
        let cuts = starts.skip(AT_ONCE - 1).step_by(AT_ONCE);
        for end in cuts.chain([self.text.len()]) {
            let part = self.text.get(begin..end).unwrap_or_default();
            let entries = toml::from_str::<Entries<T>>(part);
            for entry in entries.map_err(|error| self.misread(&error, begin))?.credential {
                let place = Place(begin + entry.span().start);
                take(entry.into_inner(), place)?;
                none = false;
            }
            begin = end;
        }
        if none {
            let problem = format!("has no credential in it; write {}", self.form);
            return Err(BadFile::new(self.path, problem));
        }
        Ok(())
    }

    /// What is wrong with an entry.
    pub(super) fn bad(&self, place: Place, problem: impl Into<String>) -> BadFile {
        BadFile::at(self.path, self.line(place.0), problem)
    }

    /// The digests of an entry.
    pub(super) fn digests(&self, place: Place, tokens: &[String]) -> Result<Vec<Digest>, BadFile> {
        if tokens.len() > MAX_TOKENS {
            let count = tokens.len();
            let problem =
                format!("{count} tokens are over the {MAX_TOKENS} that may be valid at once");
            return Err(self.bad(place, problem));
        }
        let digest = |text: &String| {
            let digest = Digest::parse(text).ok_or_else(|| {
                let right = "\"sha256:\" and 64 hexadecimal digits, the SHA-256 of the token";
                self.bad(place, format!("a token is not written as {right}"))
            })?;
            if digest.is_of_blank() {
                return Err(self.bad(place, BLANK));
            }
            Ok(digest)
        };
        tokens.iter().map(digest).collect()
    }

    /// An error of the parser, without what it shows of the file: that may be a secret in a wrong place.
    fn misread(&self, error: &toml::de::Error, begin: usize) -> BadFile {
        let line = self.line(begin + error.span().map_or(0, |span| span.start));
        let message = error.message();
        let of_names =
            ["unknown field", "missing field"].iter().any(|start| message.starts_with(start));
        let problem = if of_names { message } else { "this is not understood" };
        BadFile::at(self.path, line, format!("{problem}; write {}", self.form))
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or_default();
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }
}
