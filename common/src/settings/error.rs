//! Errors of settings: where the value was written, what is wrong, and what would be right.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::declaration::{Setting, variable};

/// The source of a setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag, with its dashes.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A line of the file, counted from 1.
    File(Arc<Path>, usize),
    /// A socket that the service manager has passed.
    Socket,
    /// The default: no source sets the setting.
    Default,
}

impl Origin {
    /// Returns the rank of the source; 0 overrides all others.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Flag(_) | Self::Socket => 0,
            Self::Variable(_) => 1,
            Self::File(..) => 2,
            Self::Default => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::File(path, line) => write!(f, "{} line {line}", path.display()),
            Self::Socket => f.write_str("socket of the service manager"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    setting: String,
    problem: String,
    origin: Option<Origin>,
    /// The invalid value, if it may be shown.
    value: Option<String>,
}

impl std::error::Error for SettingError {}

impl SettingError {
    /// Creates an error of a setting. [`Layers`](super::Layers) adds where its value was written.
    #[must_use]
    pub fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { setting: setting.into(), problem: problem.into(), origin: None, value: None }
    }

    /// Adds where the value was written.
    #[must_use]
    pub(super) fn from(self, origin: Option<Origin>) -> Self {
        Self { origin: self.origin.or(origin), ..self }
    }

    /// Creates an error of a value. A value of a file is not shown: it may be a secret in the wrong
    /// place.
    pub(super) fn of_value(setting: &Setting, value: &super::Value, problem: String) -> Self {
        let is_shown =
            !setting.is_secret && matches!(value.origin, Origin::Flag(_) | Origin::Variable(_));
        // A value that is a file's content instead of its path may be a private key.
        let is_shown = is_shown && !value.text.contains('\n') && !value.text.contains("-----BEGIN");
        let shown = is_shown.then(|| value.text.clone());
        let origin = Some(value.origin.clone());
        Self { setting: setting.name.to_owned(), problem, origin, value: shown }
    }

    /// Returns the name of the setting.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// Returns the problem and what would be valid.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Returns the source of the value, if known.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(Origin::Flag(flag)) => f.write_str(flag)?,
            Some(Origin::Variable(name)) => f.write_str(name)?,
            Some(Origin::File(path, line)) => {
                write!(f, "{}, line {line}", path.display())?;
                if !self.setting.is_empty() {
                    write!(f, ": {}", self.setting)?;
                }
            }
            Some(Origin::Socket | Origin::Default) | None => f.write_str(&self.setting)?,
        }
        if let Some(value) = &self.value {
            write!(f, "={value:?}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// All invalid settings, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingErrors(Vec<SettingError>);

impl SettingErrors {
    /// Returns the errors; `None` if there are none.
    #[must_use]
    pub fn of(errors: Vec<SettingError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// Iterates over the errors.
    pub fn iter(&self) -> impl Iterator<Item = &SettingError> {
        self.0.iter()
    }
}

impl From<SettingError> for SettingErrors {
    fn from(error: SettingError) -> Self {
        Self(vec![error])
    }
}

impl std::error::Error for SettingErrors {}

/// One line for each error.
impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

/// Creates the error for a name that is not a setting.
pub(super) fn unknown(name: &str, origin: Origin, problem: String) -> SettingError {
    let setting = match &origin {
        Origin::Variable(_) => variable(name),
        _ => name.to_owned(),
    };
    SettingError { setting, problem, origin: Some(origin), value: None }
}
