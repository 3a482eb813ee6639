//! The agent's token: in a file or in the environment, never on the command line, which every user
//! can read.

use std::path::{Path, PathBuf};

use fleetgauge_proto::limits::MAX_CREDENTIAL_BYTES;
use fleetgauge_proto::message::Secret;

use fleetgauge_common::secret_file;
use fleetgauge_common::settings::{Layers, SettingError};

/// Minimum length of a token, in bytes: a shorter one could be found from its SHA-256 by brute
/// force.
const MIN_TOKEN_BYTES: usize = 16;
/// Maximum size of a token file, in bytes: the longest token and a line end.
const MAX_FILE_BYTES: u64 = MAX_CREDENTIAL_BYTES as u64 + 2;
/// Advice to the operator if the token is invalid.
const MAKE_ONE: &str = "make one with: fleetgauge-collector token";

/// A valid token: 16 to 4,096 visible ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// Parses a token. Ignores a line end after it.
    ///
    /// # Errors
    /// The rule that the token violates; the error never contains the token.
    pub fn parse(text: &str) -> Result<Self, String> {
        let token = text.strip_suffix('\n').unwrap_or(text);
        let token = token.strip_suffix('\r').unwrap_or(token);
        let len = token.len();
        if token.is_empty() {
            Err(format!("must not be empty; {MAKE_ONE}"))
        } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err(format!("must be one line of visible ASCII; {MAKE_ONE}"))
        } else if len < MIN_TOKEN_BYTES {
            Err(format!("must have at least {MIN_TOKEN_BYTES} characters, not {len}; {MAKE_ONE}"))
        } else if len > MAX_CREDENTIAL_BYTES {
            Err(format!(
                "must have at most {MAX_CREDENTIAL_BYTES} characters, not {len}; {MAKE_ONE}"
            ))
        } else {
            Ok(Self(token.into()))
        }
    }

    /// Returns the token for Hello.
    #[must_use]
    pub fn secret(&self) -> Secret<'_> {
        Secret(self.0.as_bytes())
    }
}

/// Prints only the length of the token.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(<{} bytes>)", self.0.len())
    }
}

/// Source of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file, read before every round of connection attempts: a changed token needs no restart.
    File(PathBuf),
    /// The token itself, from the environment variable.
    Given(Token),
}

impl TokenSource {
    /// Returns the path of the token file; `None` if the token is from the environment.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Given(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// Reads the token. May block.
    ///
    /// # Errors
    /// The file is not usable; the error names the file, the problem and what to do.
    pub fn token(&self) -> Result<Token, String> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::File(path) => read(path),
        }
    }
}

/// Returns the source of the token; `None` without a token. If both `token` and `token_file` are
/// set, flags override environment variables, which override the file.
pub(super) fn source(layers: &mut Layers) -> Option<TokenSource> {
    if layers.either("token", "token_file") == Some("token") {
        return layers
            .text("token")
            .and_then(|text| Token::parse(text).ok())
            .map(TokenSource::Given);
    }
    let source = TokenSource::File(layers.path("token_file")?);
    layers.accept(source.token().map_err(|problem| SettingError::new("token_file", problem)))?;
    Some(source)
}

fn read(path: &Path) -> Result<Token, String> {
    let text = secret_file::read(path, MAX_FILE_BYTES).map_err(|error| error.to_string())?;
    // Bytes that are not UTF-8 are not visible ASCII either.
    let token = Token::parse(&String::from_utf8_lossy(&text));
    token.map_err(|problem| format!("{}: the token {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn one_line_end_is_removed() {
        for text in [GOOD.to_owned(), format!("{GOOD}\n"), format!("{GOOD}\r\n")] {
            assert_eq!(Token::parse(&text).unwrap().secret().0, GOOD.as_bytes());
        }
    }

    #[test]
    fn longest_token_is_accepted() {
        let longest = "x".repeat(MAX_CREDENTIAL_BYTES);
        assert_eq!(Token::parse(&longest).unwrap().secret().0.len(), MAX_CREDENTIAL_BYTES);
        Token::parse(&format!("{longest}x")).unwrap_err();
    }

    #[test]
    fn invalid_token_is_not_shown() {
        for (text, why) in [
            ("", "must not be empty"),
            ("\n", "must not be empty"),
            ("\r\n", "must not be empty"),
            (&" ".repeat(MIN_TOKEN_BYTES), "visible ASCII"),
            ("hunter2", "at least 16 characters, not 7"),
            ("hunter2 hunter2 hunter2", "visible ASCII"),
            ("hunter2hunter2hunter2\n\n", "visible ASCII"),
            ("\u{feff}hunter2hunter2hunter2", "visible ASCII"),
        ] {
            let problem = Token::parse(text).unwrap_err();
            assert!(
                problem.contains(why) && problem.contains("fleetgauge-collector token"),
                "{problem}"
            );
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        assert_eq!(format!("{:?}", Token::parse(GOOD).unwrap()), "Token(<32 bytes>)");
    }

    #[cfg(unix)]
    #[test]
    fn file_that_every_user_may_read_is_an_error() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), GOOD).unwrap();
        let source = TokenSource::File(file.path().to_owned());
        let chmod = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), permissions).unwrap();
        };
        for mode in [0o600, 0o640, 0o400] {
            chmod(mode);
            source.token().unwrap();
        }
        for mode in [0o644, 0o602, 0o604] {
            chmod(mode);
            let problem = source.token().unwrap_err();
            assert!(problem.contains(&format!("mode {mode:03o}")), "{problem}");
            assert!(problem.contains(&*file.path().to_string_lossy()), "{problem}");
        }
    }

    #[test]
    fn unreadable_file_is_named() {
        for (path, why) in [("/nonexistent/token", "cannot be read"), ("/", "is not a file")] {
            let problem = TokenSource::File(path.into()).token().unwrap_err();
            assert!(problem.starts_with(path) && problem.contains(why), "{problem}");
        }
    }
}
