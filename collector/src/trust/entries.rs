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

/// The file.
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

    /// Its entries; there is at least one.
    pub(super) fn entries<T: DeserializeOwned>(&self) -> Result<Vec<toml::Spanned<T>>, BadFile> {
        let entries = toml::from_str::<Entries<T>>(&self.text);
        let entries = entries.map_err(|error| self.misread(&error))?.credential;
        if entries.is_empty() {
            let problem = format!("has no credential in it; write {}", self.form);
            return Err(BadFile::new(self.path, problem));
        }
        Ok(entries)
    }

    /// What is wrong with an entry.
    pub(super) fn bad<T>(&self, entry: &toml::Spanned<T>, problem: impl Into<String>) -> BadFile {
        BadFile::at(self.path, self.line(entry.span().start), problem)
    }

    /// The digests of an entry.
    pub(super) fn digests<T>(
        &self,
        entry: &toml::Spanned<T>,
        tokens: &[String],
    ) -> Result<Vec<Digest>, BadFile> {
        if tokens.len() > MAX_TOKENS {
            let problem = format!(
                "{} tokens are over the {MAX_TOKENS} that may be valid at once",
                tokens.len()
            );
            return Err(self.bad(entry, problem));
        }
        let digest = |text: &String| {
            Digest::parse(text).ok_or_else(|| {
                let right = "\"sha256:\" and 64 hexadecimal digits, the SHA-256 of the token";
                self.bad(entry, format!("a token is not written as {right}"))
            })
        };
        tokens.iter().map(digest).collect()
    }

    /// An error of the parser, without what it shows of the file: that may be a secret in a wrong place.
    fn misread(&self, error: &toml::de::Error) -> BadFile {
        let line = self.line(error.span().map_or(0, |span| span.start));
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
