//! Settings in a TOML file. Errors name line and key but not the value, which may be a secret in
//! the wrong place.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::declaration::{Program, Setting};
use super::error::{Origin, SettingError, unknown};
use super::flags::split;
use super::kind::Kind;
use super::nearest::nearest;
use super::{Given, Layer, Value};
use crate::secret_file;

/// Maximum size of a settings file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the file that the setting `config` names.
pub(super) fn read(program: &Program, config: &Value, errors: &mut Vec<SettingError>) -> Layer {
    let path: &Path = config.text.as_ref();
    let text = match secret_file::read_public_text(path, MAX_FILE_BYTES) {
        Ok(text) => text,
        Err(error) => {
            let error = SettingError::new("config", error.to_string());
            errors.push(error.from(Some(config.origin.clone())));
            return Layer::new();
        }
    };
    let file = File { program, path: path.into(), text: &text };
    match DeTable::parse(&text) {
        Ok(table) => file.layer(table.get_ref(), errors),
        Err(error) => {
            let start = error.span().map_or(0, |span| span.start);
            let problem = format!("invalid TOML: {}", error.message());
            errors.push(unknown("", file.origin(start), problem));
            Layer::new()
        }
    }
}

/// A settings file that is being read.
pub(super) struct File<'a> {
    program: &'a Program,
    path: Arc<Path>,
    text: &'a str,
}

impl File<'_> {
    fn layer(&self, table: &DeTable<'_>, errors: &mut Vec<SettingError>) -> Layer {
        let mut layer = Layer::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let origin = self.origin(key.span().start);
            let Some(setting) = self.program.find(name).filter(|setting| setting.in_file) else {
                let Program { settings, hints, .. } = self.program;
                let problem = unknown_key(name, settings, hints, "setting");
                errors.push(unknown(name, origin, problem));
                continue;
            };
            if let Kind::Tables(tables) = setting.kind {
                let given = self.tables(setting, tables, value, origin, errors);
                layer.extend(given.map(|given| (setting.name, given)));
                continue;
            }
            let written_as = format!("[{name}], then NAME = \"VALUE\"");
            match self.values(setting, &written_as, value) {
                Ok(values) => {
                    layer.insert(setting.name, Given { origin, values, entries: Vec::new() });
                }
                Err((at, problem)) => errors.push(
                    SettingError::new(name, problem)
                        .from(Some(self.origin(at.unwrap_or(key.span().start)))),
                ),
            }
        }
        layer
    }

    /// Returns the values of a key; a table should be `written_as`. The error is the offset of the
    /// wrong value, and what would be valid.
    pub(super) fn values(
        &self,
        setting: &Setting,
        written_as: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<Value>, (Option<usize>, String)> {
        let text = |value: &Spanned<DeValue<'_>>| {
            let start = value.span().start;
            let text = scalar(setting, value.get_ref()).map_err(|right| (Some(start), right))?;
            Ok(Value { text, origin: self.origin(start) })
        };
        match (setting.kind, value.get_ref()) {
            (Kind::Table(_), DeValue::Table(table)) => {
                table.iter().map(|(key, value)| named(key, || text(value))).collect()
            }
            (Kind::Table(_), _) => Err((None, format!("must be a table: {written_as}"))),
            (_, DeValue::Array(values)) if setting.is_list => values.iter().map(text).collect(),
            (_, DeValue::String(words)) if setting.is_words => {
                Ok(Given::new(self.origin(value.span().start), split(words)).values)
            }
            (_, _) if setting.is_words => {
                Err((None, "must be a list of strings or one string: \"…,…\"".to_owned()))
            }
            (_, _) if setting.is_list => {
                Err((None, "must be a list of strings: [\"…\", \"…\"]".to_owned()))
            }
            _ => Ok(vec![text(value)?]),
        }
    }

    /// Returns the line of an offset.
    pub(super) fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or_default();
        Origin::File(Arc::clone(&self.path), before.matches('\n').count() + 1)
    }
}

/// Returns an entry of a table as `NAME=VALUE`.
fn named(
    key: &Spanned<Cow<'_, str>>,
    text: impl Fn() -> Result<Value, (Option<usize>, String)>,
) -> Result<Value, (Option<usize>, String)> {
    let name = key.get_ref();
    if name.contains('=') {
        let problem = "has a key that contains =; remove the =".to_owned();
        return Err((Some(key.span().start), problem));
    }
    let Value { text, origin } = text()?;
    Ok(Value { text: format!("{name}={text}"), origin })
}

/// Returns what is wrong with a name that is none of the settings. `what` is what it should be.
pub(super) fn unknown_key(
    name: &str,
    settings: &'static [Setting],
    hints: &[(&'static str, &'static str)],
    what: &str,
) -> String {
    let hint = hints.iter().find(|(hinted, _)| *hinted == name);
    let names = settings.iter().filter(|setting| setting.in_file).map(|setting| setting.name);
    match (hint, nearest(name, names)) {
        (Some((_, hint)), _) => (*hint).to_owned(),
        (None, Some(nearest)) => format!("unknown {what}; did you mean {nearest}?"),
        (None, None) => format!("unknown {what}; remove it"),
    }
}

/// Returns the text of a value of the right type. The error describes that type.
fn scalar(setting: &Setting, value: &DeValue<'_>) -> Result<String, String> {
    match (setting.kind, value) {
        (Kind::Switch, DeValue::Boolean(value)) => Ok(value.to_string()),
        (Kind::Switch, _) => Err("must be true or false, without quotes".to_owned()),
        (Kind::Number(..), DeValue::Integer(value)) => decimal(value),
        (Kind::Number(..), _) => Err("must be a whole number, without quotes".to_owned()),
        (_, DeValue::String(text)) => Ok(text.clone().into_owned()),
        // A dot in a bare key starts a table.
        (Kind::Table(_), DeValue::Table(_)) => {
            Err("must be a quoted string; put names with dots in quotes".to_owned())
        }
        (Kind::Duration(..), DeValue::Integer(_)) => {
            Err("must have a unit and quotes, such as \"15s\"".to_owned())
        }
        (Kind::Size(..), DeValue::Integer(_)) => {
            Err("must have a unit and quotes, such as \"64MiB\"".to_owned())
        }
        _ => Err("must be a quoted string".to_owned()),
    }
}

fn decimal(value: &DeInteger<'_>) -> Result<String, String> {
    let digits = value.as_str().replace('_', "");
    match i64::from_str_radix(&digits, value.radix()) {
        Ok(number) if number >= 0 => Ok(number.to_string()),
        Ok(_) => Err("must not be negative".to_owned()),
        Err(_) => Err("is too large".to_owned()),
    }
}
