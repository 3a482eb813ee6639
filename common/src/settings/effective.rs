//! The settings in force, as `--check` prints them and as a reload compares them.

use std::collections::BTreeMap;
use std::fmt;

use super::Layer;
use super::declaration::{Program, Setting};
use super::error::Origin;
use super::flags::split;
use super::kind::Kind;

/// Width to which `name = value` is padded before the origin, in characters.
const WIDTH: usize = 48;

/// The settings in force, in the order of their declaration.
#[derive(Debug, Clone)]
pub struct Effective(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    setting: &'static Setting,
    /// The values as text; `None` if the setting is unset.
    texts: Option<Vec<String>>,
    origin: Origin,
}

impl Effective {
    pub(super) fn new(
        program: Program,
        values: &Layer,
        computed: &BTreeMap<&'static str, String>,
    ) -> Self {
        let entry = |setting: &'static Setting| {
            let (texts, origin) = match values.get(setting.name) {
                // Debug must not show a secret either.
                Some(given) if setting.is_secret => (Some(Vec::new()), given.origin.clone()),
                Some(given) => {
                    let texts = given.values.iter().map(|value| value.text.clone());
                    (Some(texts.collect()), given.origin.clone())
                }
                None => (defaults(setting, computed.get(setting.name)), Origin::Default),
            };
            Entry { setting, texts, origin }
        };
        Self(program.settings.iter().map(entry).collect())
    }

    /// Returns the settings that a reload does not apply and that differ in `new`. Two defaults
    /// never differ: a default can depend on another setting.
    #[must_use]
    pub fn restart_required(&self, new: &Self) -> Vec<&'static str> {
        let is_default = |entry: &Entry| entry.origin == Origin::Default;
        let differ = |old: &Entry, new: &Entry| {
            old.texts != new.texts && !(is_default(old) && is_default(new))
        };
        let pairs = self.0.iter().zip(&new.0).filter(|(old, _)| !old.setting.reloads);
        let changed = pairs.filter(|(old, new)| differ(old, new));
        changed.map(|(old, _)| old.setting.name).collect()
    }
}

fn defaults(setting: &Setting, computed: Option<&String>) -> Option<Vec<String>> {
    let text = computed.map(String::as_str).or(setting.default)?;
    Some(if setting.is_list { split(text) } else { vec![text.to_owned()] })
}

/// Formats one line per setting in the syntax of the settings file, with its origin as a comment.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.0 {
            let name = entry.setting.name;
            let line = match &entry.texts {
                None => format!("# {name} is not set"),
                Some(_) if entry.setting.is_secret => format!("# {name} is set and not shown"),
                Some(texts) => format!("{name} = {}", toml(entry.setting, texts)),
            };
            match &entry.texts {
                None => writeln!(f, "{line}")?,
                Some(_) => writeln!(f, "{line:WIDTH$} # {}", entry.origin)?,
            }
        }
        Ok(())
    }
}

/// Formats a value in the syntax of the settings file.
fn toml(setting: &Setting, texts: &[String]) -> String {
    let quoted = |text: &String| format!("{text:?}");
    match setting.kind {
        Kind::Table(_) => {
            let entry = |text: &String| {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                format!("{name} = {value:?}")
            };
            let entries: Vec<_> = texts.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        _ if setting.is_list => {
            let texts: Vec<_> = texts.iter().map(quoted).collect();
            format!("[{}]", texts.join(", "))
        }
        Kind::Switch | Kind::Number(..) => texts.concat(),
        _ => texts.first().map(quoted).unwrap_or_default(),
    }
}
