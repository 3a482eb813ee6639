//! The settings in force, as `--check` prints them and as a reload compares them.

use std::fmt;

use super::declaration::Setting;
use super::error::Origin;
use super::flags::split;
use super::kind::Kind;
use super::tables::Entry;
use super::values::Values;

/// Width to which `name = value` is padded before the origin, in characters.
const WIDTH: usize = 48;

/// The settings in force, in the order of their declaration.
#[derive(Debug, Clone)]
pub struct Effective(Vec<InForce>);

#[derive(Debug, Clone)]
struct InForce {
    setting: &'static Setting,
    /// The values as text, without secrets; `None` if the setting is unset.
    texts: Option<Vec<String>>,
    origin: Origin,
    /// For each table of an array of tables, the comment in its line.
    comments: Vec<String>,
}

impl Effective {
    pub(super) fn new(values: &Values) -> Self {
        Self(values.settings().map(|setting| in_force(setting, values)).collect())
    }

    /// Returns the settings that a reload does not apply and that differ in `new`. Two defaults
    /// never differ: a default can depend on another setting.
    #[must_use]
    pub fn restart_required(&self, new: &Self) -> Vec<&'static str> {
        let is_default = |entry: &InForce| entry.origin == Origin::Default;
        let differ = |old: &InForce, new: &InForce| {
            old.texts != new.texts && !(is_default(old) && is_default(new))
        };
        let pairs = self.0.iter().zip(&new.0).filter(|(old, _)| !old.setting.reloads);
        let changed = pairs.filter(|(old, new)| differ(old, new));
        changed.map(|(old, _)| old.setting.name).collect()
    }
}

fn in_force(setting: &'static Setting, values: &Values) -> InForce {
    let Some(given) = values.given(setting.name) else {
        let texts = values.default_of(setting.name).map(|text| defaults(setting, text));
        return InForce { setting, texts, origin: Origin::Default, comments: Vec::new() };
    };
    let (mut texts, mut comments) = (Vec::new(), Vec::new());
    match setting.kind {
        Kind::Tables(_) => (texts, comments) = given.entries.iter().map(inline_table).unzip(),
        // Debug must not show a secret either.
        _ if setting.is_secret => {}
        _ => texts.extend(given.values.iter().map(|value| value.text.clone())),
    }
    InForce { setting, texts: Some(texts), origin: given.origin.clone(), comments }
}

/// Formats a table without its secrets. The comment has its line and names the secrets.
fn inline_table(entry: &Entry) -> (String, String) {
    let mut comment = entry.header().to_string();
    let mut pairs = Vec::new();
    for key in entry.settings() {
        let InForce { texts: Some(texts), .. } = in_force(key, entry) else { continue };
        if key.is_secret {
            comment.push_str(&format!("; {} is set and not shown", key.name));
        } else {
            pairs.push(format!("{} = {}", key.name, toml(key, &texts)));
        }
    }
    (format!("{{ {} }}", pairs.join(", ")), comment)
}

fn defaults(setting: &Setting, text: &str) -> Vec<String> {
    if setting.is_list { split(text) } else { vec![text.to_owned()] }
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
                Some(texts) if !texts.is_empty() && texts.len() == entry.comments.len() => {
                    writeln!(f, "{name} = [")?;
                    for (text, comment) in texts.iter().zip(&entry.comments) {
                        writeln!(f, "{:WIDTH$} # {comment}", format!("  {text},"))?;
                    }
                    writeln!(f, "]")?;
                }
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
                format!("{} = {value:?}", quoted_name(name))
            };
            let entries: Vec<_> = texts.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        _ if setting.is_list || matches!(setting.kind, Kind::Tables(_)) => {
            let texts: Vec<_> = texts.iter().map(quoted).collect();
            format!("[{}]", texts.join(", "))
        }
        Kind::Switch | Kind::Number(..) => texts.concat(),
        _ => texts.first().map(quoted).unwrap_or_default(),
    }
}

/// Formats the name of a table's entry, in quotes if TOML needs them.
fn quoted_name(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}
