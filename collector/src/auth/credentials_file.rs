//! The format of a credentials file: TOML, with one entry for each credential.

use std::path::Path;

use fleetgauge_common::secret_file::{self, FileError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::digest::Digest;

/// Maximum file size in bytes: enough for 400,000 entries with one token, or 200,000 with two.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum tokens of an entry: the one in use and its replacement.
const MAX_TOKENS: usize = 2;

/// Error text for the digest of a blank secret, usually computed from a file that did not exist
/// yet.
const BLANK: &str = "a token is the SHA-256 of an empty or blank string, so an empty password \
                     would be valid; generate a token with fleetgauge-collector token";

/// Start of an entry, where the file is split for parsing. The file is not split at other spellings
/// that TOML allows, but they are parsed correctly.
const START: &str = "\n[[credential]]";
/// Number of entries parsed at a time. The limit is needed because the parser takes thirty times
/// the memory of the text.
const AT_ONCE: usize = 1_000;

/// Byte offset of an entry in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryOffset(usize);

/// The entries of a credentials file, or of a part of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries<T> {
    #[serde(default = "Vec::new")]
    credential: Vec<toml::Spanned<T>>,
}

/// The text of a credentials file, which is parsed in parts.
pub(super) struct Reading<'a> {
    path: &'a Path,
    text: String,
    form: &'static str,
}

impl<'a> Reading<'a> {
    /// Reads the file into memory. `form` is an example of an entry, for error messages.
    pub(super) fn new(path: &'a Path, form: &'static str) -> Result<Self, FileError> {
        Ok(Self { path, text: secret_file::read_text(path, MAX_FILE_BYTES)?, form })
    }

    /// Calls `take` for each entry with its offset.
    ///
    /// # Errors
    /// If an entry is invalid (the error names the first one), or if the file has no entries.
    pub(super) fn each<T: DeserializeOwned>(
        &self,
        mut take: impl FnMut(T, EntryOffset) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let (mut begin, mut is_empty) = (0, true);
        let starts = self.text.match_indices(START).map(|(at, _)| at + 1);
        let cuts = starts.skip(AT_ONCE - 1).step_by(AT_ONCE);
        for end in cuts.chain([self.text.len()]) {
            let part = self.text.get(begin..end).unwrap_or_default();
            let entries = toml::from_str::<Entries<T>>(part);
            for entry in entries.map_err(|error| self.misread(&error, begin))?.credential {
                let offset = EntryOffset(begin + entry.span().start);
                take(entry.into_inner(), offset)?;
                is_empty = false;
            }
            begin = end;
        }
        if is_empty {
            let problem = format!("has no credentials; write {}", self.form);
            return Err(FileError::new(self.path, problem));
        }
        Ok(())
    }

    /// Creates an error that names the file and the line of an entry.
    pub(super) fn bad(&self, offset: EntryOffset, problem: impl Into<String>) -> FileError {
        FileError::at(self.path, self.line(offset.0), problem)
    }

    /// Parses the token digests of an entry.
    pub(super) fn digests(
        &self,
        offset: EntryOffset,
        tokens: &[String],
    ) -> Result<Vec<Digest>, FileError> {
        if tokens.len() > MAX_TOKENS {
            let count = tokens.len();
            let problem = format!("the entry has {count} tokens; at most {MAX_TOKENS} are allowed");
            return Err(self.bad(offset, problem));
        }
        let digest = |text: &String| {
            let digest = Digest::parse(text).ok_or_else(|| {
                let valid = "\"sha256:\" and 64 hexadecimal digits, the SHA-256 of the token";
                self.bad(offset, format!("invalid token; write {valid}"))
            })?;
            if digest.is_of_blank() {
                return Err(self.bad(offset, BLANK));
            }
            Ok(digest)
        };
        tokens.iter().map(digest).collect()
    }

    /// Converts a TOML parser error. Omits the text that the parser quotes, which may be a secret.
    fn misread(&self, error: &toml::de::Error, begin: usize) -> FileError {
        let line = self.line(begin + error.span().map_or(0, |span| span.start));
        let message = error.message();
        let is_about_names =
            ["unknown field", "missing field"].iter().any(|start| message.starts_with(start));
        let problem =
            if is_about_names { message } else { "invalid TOML, or a value of the wrong type" };
        FileError::at(self.path, line, format!("{problem}; write {}", self.form))
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or_default();
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }
}
