//! Authentication of HTTP requests: the keys `username`, `password_file` and `bearer_token_file` of
//! a table of the settings file.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;

use super::HttpError;
use super::reading::Reading;
use crate::secret_file;

/// Maximum length of a password or token, in bytes. Longer than any token in use, and short enough
/// for the header limits of HTTP servers.
const MAX_SECRET_BYTES: usize = 4096;
/// Maximum size of a file, in bytes: the longest secret and a line end.
const MAX_FILE_BYTES: u64 = MAX_SECRET_BYTES as u64 + 2;

/// How a client authenticates to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAuth {
    /// It does not authenticate.
    None,
    /// HTTP basic authentication.
    Basic {
        /// User name, without colon and control characters.
        username: Box<str>,
        /// File with the password, read for every request.
        password_file: PathBuf,
    },
    /// HTTP bearer authentication.
    Bearer {
        /// File with the token, read for every request.
        token_file: PathBuf,
    },
}

/// Value of the header `Authorization`: visible ASCII and spaces.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(Box<str>);

/// Hides the value.
impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization")
    }
}

impl Authorization {
    /// Returns the value of the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HttpAuth {
    /// Reads the file and returns the value of the header `Authorization`; `None` without
    /// authentication. May block.
    ///
    /// # Errors
    /// The file is not usable; the error names the file and the problem.
    pub fn authorization(&self) -> Result<Option<Authorization>, String> {
        let value = match self {
            Self::None => return Ok(None),
            Self::Basic { username, password_file } => {
                let password = read(password_file, "password", |c| !c.is_control())?;
                let pair = format!("{username}:{password}");
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
            Self::Bearer { token_file } => {
                let token = read(token_file, "token", |c| c.is_ascii_graphic())?;
                format!("Bearer {token}")
            }
        };
        Ok(Some(Authorization(value.into())))
    }
}

/// Reads the header `Authorization` of requests.
#[derive(Default)]
pub struct AuthReader(Reading<Result<Option<Authorization>, String>>);

impl AuthReader {
    /// Reads the password or token. Returns the header; `None` without authentication.
    ///
    /// # Errors
    /// The file is not usable.
    pub async fn header(&mut self, auth: &HttpAuth) -> Result<Option<HeaderValue>, HttpError> {
        if *auth == HttpAuth::None {
            return Ok(None);
        }
        let auth = auth.clone();
        let read = self.0.run(move || auth.authorization()).await;
        let read = read.map_err(|panicked| HttpError::Credentials(panicked.to_string()))?;
        let Some(authorization) = read.map_err(HttpError::Credentials)? else { return Ok(None) };
        // The error must not contain the value.
        let value = HeaderValue::from_str(authorization.as_str());
        let invalid = |_| HttpError::Credentials("illegal character".to_owned());
        let mut value = value.map_err(invalid)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Checks the key `username`.
///
/// # Errors
/// The name is empty, too long, or has a colon or a control character.
pub fn is_username(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains(':') || text.contains(char::is_control) {
        return Err("must not be empty, and must not have colons or control characters".to_owned());
    }
    if text.len() > MAX_SECRET_BYTES {
        return Err(format!("must have at most {MAX_SECRET_BYTES} bytes"));
    }
    Ok(())
}

/// Reads a secret whose characters are all `valid`. Ignores a line end after it.
fn read(path: &Path, what: &str, valid: fn(char) -> bool) -> Result<String, String> {
    let text = secret_file::read_text(path, MAX_FILE_BYTES).map_err(|error| error.to_string())?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    let problem = match secret.len() {
        0 => "must not be empty",
        length if length > MAX_SECRET_BYTES => "is too long",
        _ if !secret.chars().all(valid) => "must be one line without control characters",
        _ => return Ok(secret.to_owned()),
    };
    Err(format!("{}: the {what} {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use tempfile::NamedTempFile;

    use super::*;

    fn file(content: &[u8]) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn basic(content: &[u8]) -> Result<Option<Authorization>, String> {
        let file = file(content);
        let auth = HttpAuth::Basic { username: "me".into(), password_file: file.path().into() };
        auth.authorization()
    }

    fn bearer(content: &[u8]) -> Result<Option<Authorization>, String> {
        let file = file(content);
        HttpAuth::Bearer { token_file: file.path().into() }.authorization()
    }

    #[test]
    fn header_has_the_content_of_the_file_without_line_end() {
        assert_eq!(HttpAuth::None.authorization(), Ok(None));
        for content in ["p\u{e4} ss:x", "p\u{e4} ss:x\n", "p\u{e4} ss:x\r\n"] {
            let header = basic(content.as_bytes()).unwrap().unwrap();
            assert_eq!(header.as_str(), "Basic bWU6cMOkIHNzOng=");
            assert!(!format!("{header:?}").contains("bWU6"));
        }
        assert_eq!(bearer(b"hunter2\n").unwrap().unwrap().as_str(), "Bearer hunter2");
    }

    #[test]
    fn unusable_secret_is_not_shown() {
        let long = "hunter2".repeat(1000);
        for (content, why) in [
            (&b""[..], "must not be empty"),
            (b"\n", "must not be empty"),
            (b"hunter2\nhunter2\n", "must be one line"),
            (b"hunter2\0", "must be one line"),
            (b"hunter2\xff", "is not text in UTF-8"),
            (long.as_bytes(), "has more than 4098 bytes"),
            (&long.as_bytes()[..4097], "is too long"),
        ] {
            for result in [basic(content), bearer(content)] {
                let problem = result.unwrap_err();
                assert!(problem.contains(why) && !problem.contains("hunter2"), "{problem}");
            }
        }
        bearer(b"two words").unwrap_err();
    }

    #[test]
    fn missing_file_is_named() {
        let auth = HttpAuth::Bearer { token_file: "/nonexistent/token".into() };
        let problem = auth.authorization().unwrap_err();
        assert!(problem.starts_with("/nonexistent/token: cannot be read"), "{problem}");
    }

    #[test]
    fn username_has_no_colon_or_control_character() {
        is_username("me@example.com").unwrap();
        for text in ["", "a:b", "a\nb", "a\0", &"x".repeat(4097)] {
            is_username(text).unwrap_err();
        }
    }
}
