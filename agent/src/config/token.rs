//! The agent's token: in a file or in the environment, and never on the command line, which every
//! user can read.

use std::path::{Path, PathBuf};

use fleetgauge_proto::limits::MAX_CREDENTIAL_BYTES;
use fleetgauge_proto::message::Secret;

use crate::secret_file;

/// Fewest characters of a token: its SHA-256, which the collector keeps, must not help to guess it.
const MIN_TOKEN_BYTES: usize = 16;
/// Most bytes of its file: the longest token and a line's end.
const MAX_FILE_BYTES: u64 = MAX_CREDENTIAL_BYTES as u64 + 2;
/// How to make one.
const MAKE_ONE: &str = "Make one on the collector's host with: fleetgauge-collector token";

/// A token that may be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// The token in a text; a line's end after it is not part of it.
    ///
    /// # Errors
    /// What is wrong, without the text, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let token = text.strip_suffix('\n').unwrap_or(text);
        let token = token.strip_suffix('\r').unwrap_or(token);
        let len = token.len();
        if token.is_empty() {
            Err(format!("there is no token in it. {MAKE_ONE}"))
        } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err(format!("it holds something else than one line of visible ASCII. {MAKE_ONE}"))
        } else if len < MIN_TOKEN_BYTES {
            Err(format!(
                "{len} characters can be guessed, take {MIN_TOKEN_BYTES} at least. {MAKE_ONE}"
            ))
        } else if len > MAX_CREDENTIAL_BYTES {
            Err(format!("{len} characters are over the {MAX_CREDENTIAL_BYTES} allowed. {MAKE_ONE}"))
        } else {
            Ok(Self(token.into()))
        }
    }

    /// The token as Hello carries it.
    #[must_use]
    pub fn secret(&self) -> Secret<'_> {
        Secret(self.0.as_bytes())
    }
}

/// Never shown.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(<{} bytes>)", self.0.len())
    }
}

/// Where the token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file, read anew for every connection: whoever changes it need not start the agent again.
    File(PathBuf),
    /// The environment.
    Given(Token),
}

impl TokenSource {
    /// The file, if it is in one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Given(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// The token as it is now.
    ///
    /// # Errors
    /// The file, what is wrong with it, and what to do.
    pub fn token(&self) -> Result<Token, String> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::File(path) => {
                read(path).map_err(|problem| format!("{}: {problem}", path.display()))
            }
        }
    }
}

fn read(path: &Path) -> Result<Token, String> {
    let text = secret_file::read(path, MAX_FILE_BYTES)?;
    // What is no text is not visible ASCII either.
    Token::parse(&String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn one_line_s_end_is_not_the_token_s() {
        for text in [GOOD.to_owned(), format!("{GOOD}\n"), format!("{GOOD}\r\n")] {
            assert_eq!(Token::parse(&text).unwrap().secret().0, GOOD.as_bytes());
        }
    }

    #[test]
    fn the_longest_legal_token() {
        let longest = "x".repeat(MAX_CREDENTIAL_BYTES);
        assert_eq!(Token::parse(&longest).unwrap().secret().0.len(), MAX_CREDENTIAL_BYTES);
        Token::parse(&format!("{longest}x")).unwrap_err();
    }

    #[test]
    fn what_is_no_token_is_not_shown() {
        for (text, why) in [
            ("", "no token"),
            ("\n", "no token"),
            ("\r\n", "no token"),
            (&" ".repeat(MIN_TOKEN_BYTES), "visible ASCII"),
            ("hunter2", "7 characters can be guessed"),
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
    fn a_file_that_everybody_may_read_is_refused() {
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
    fn a_file_that_is_not_one_is_named() {
        for (path, why) in [("/nonexistent/token", "cannot be read"), ("/", "not a file")] {
            let problem = TokenSource::File(path.into()).token().unwrap_err();
            assert!(problem.starts_with(path) && problem.contains(why), "{problem}");
        }
    }
}
