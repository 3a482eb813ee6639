//! Settings in environment variables.

use super::declaration::{PREFIX, Program, variable};
use super::error::{Origin, SettingError, unknown};
use super::flags::split;
use super::kind::Kind;
use super::nearest::nearest;
use super::{Given, Layer};

/// The environment variables that start with `FLEETGAUGE_`.
#[derive(Clone, Default)]
pub struct Environment(Vec<(String, String)>);

/// Hides the values, which may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Environment {
    /// Reads the process's environment.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self::new(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Creates an environment of those `variables` that start with `FLEETGAUGE_`.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut variables: Vec<_> =
            variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        variables.sort();
        Self(variables)
    }

    /// Returns the values by setting. An empty variable counts as unset, with two exceptions: it
    /// sets a list to the empty list, and it is an error for a path or a secret.
    pub(super) fn layer(&self, program: &Program, errors: &mut Vec<SettingError>) -> Layer {
        let mut layer = Layer::new();
        for (name, text) in &self.0 {
            let setting = program.settings.iter().find(|setting| setting.variable() == *name);
            let Some(setting) = setting else {
                errors.extend(self.unknown(program, name));
                continue;
            };
            let is_meant = setting.is_list || setting.is_secret;
            if text.is_empty() && !is_meant && !matches!(setting.kind, Kind::Path) {
                continue;
            }
            if matches!(setting.kind, Kind::Tables(_)) {
                let key = setting.name;
                let problem = format!("can be set only in the settings file, as [[{key}]]");
                errors.push(unknown(key, Origin::Variable(name.clone()), problem));
                continue;
            }
            let texts = if setting.is_list { split(text) } else { vec![text.clone()] };
            layer.insert(setting.name, Given::new(Origin::Variable(name.clone()), texts));
        }
        layer
    }

    /// Returns the error for a variable that is not a setting; `None` if it is a setting of the
    /// other program or a variable of Kubernetes.
    fn unknown(&self, program: &Program, name: &str) -> Option<SettingError> {
        let key = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
        let is_of_other = program.other.iter().any(|other| variable(other) == name);
        if is_of_other || is_of_kubernetes(name) {
            return None;
        }
        let hint = program.hints.iter().find(|(hinted, _)| *hinted == key);
        let names = program.settings.iter().map(|setting| setting.name);
        let problem = match (hint, nearest(&key, names)) {
            (Some((_, hint)), _) => (*hint).to_owned(),
            (None, Some(name)) => format!("unknown setting; did you mean {}?", variable(name)),
            (None, None) => "unknown setting; unset it".to_owned(),
        };
        Some(unknown(&key, Origin::Variable(name.to_owned()), problem))
    }
}

/// Returns whether Kubernetes sets this variable for a service whose name starts with `fleetgauge`.
fn is_of_kubernetes(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}
