//! The kinds of values that settings have.

use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::declaration::Tables;
use super::nearest::nearest;
use crate::units::{format_duration, format_size, parse_duration, parse_size};

/// Checks a value. The error describes valid values, and does not include this one.
type Check = fn(&str) -> Result<(), String>;

/// The kind of a setting's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text that passes a check.
    Text(Check),
    /// `true` or `false`; the flag alone means `true`.
    Switch,
    /// The path of a file or directory.
    Path,
    /// A number from the first to the second bound, inclusive.
    Number(u64, u64),
    /// A duration from the first to the second bound, inclusive.
    Duration(Duration, Duration),
    /// A size in bytes from the first to the second bound, inclusive.
    Size(u64, u64),
    /// One of the names that the function returns.
    Choice(fn() -> Vec<PossibleValue>),
    /// A table; the check receives each entry as `NAME=VALUE`.
    Table(Check),
    /// An array of tables, only in the file.
    Tables(&'static Tables),
}

impl Kind {
    /// Returns the kind for the values of an enum.
    #[must_use]
    pub const fn choice<E: ValueEnum>() -> Self {
        Self::Choice(possible_values::<E>)
    }

    /// Returns the kind for a duration of `least` to `most` seconds.
    #[must_use]
    pub const fn seconds(least: u64, most: u64) -> Self {
        Self::Duration(Duration::from_secs(least), Duration::from_secs(most))
    }

    /// Checks a value. The error describes valid values.
    pub(super) fn check(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Text(check) | Self::Table(check) => check(text),
            Self::Switch => parse_switch(text).map(drop),
            Self::Path => path(text),
            Self::Number(least, most) => {
                let number = parse_number(text)?;
                within(number, *least, *most, |number| number.to_string())
            }
            Self::Duration(least, most) => {
                within(parse_duration(text)?, *least, *most, format_duration)
            }
            Self::Size(least, most) => within(parse_size(text)?, *least, *most, format_size),
            Self::Choice(values) => one_of(text, &values()),
            Self::Tables(_) => Err("can be set only in the settings file".to_owned()),
        }
    }

    /// Describes the valid values as a range; `None` if they are not a bounded range.
    #[must_use]
    pub fn range(&self) -> Option<String> {
        let to = |least: String, most: String| Some(format!("{least} to {most}"));
        match self {
            Self::Number(least, most) if *most < u64::MAX => {
                to(least.to_string(), most.to_string())
            }
            Self::Duration(least, most) => to(format_duration(*least), format_duration(*most)),
            Self::Size(least, most) => to(format_size(*least), format_size(*most)),
            _ => None,
        }
    }
}

/// Parses a whole number.
pub(super) fn parse_number(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| "must be a whole number".to_owned())
}

/// Parses the value of a switch: `true`, `false`, `1` or `0`.
pub(super) fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn within<T: PartialOrd + Copy>(
    value: T,
    least: T,
    most: T,
    format: impl Fn(T) -> String,
) -> Result<(), String> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(format!("must be between {} and {}", format(least), format(most)))
}

fn path(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty; name a file or directory, or remove the setting".to_owned());
    }
    // As when a secret is mounted as a variable instead of a file.
    if text.contains('\n') || text.starts_with("-----BEGIN") {
        return Err("must be the path of a file, not its content".to_owned());
    }
    Ok(())
}

fn one_of(text: &str, values: &[PossibleValue]) -> Result<(), String> {
    let names: Vec<_> = values.iter().map(PossibleValue::get_name).collect();
    if names.contains(&text) {
        return Ok(());
    }
    let hint = nearest(text, names.iter().copied())
        .map(|name| format!("; did you mean {name}?"))
        .unwrap_or_default();
    Err(format!("must be {}{hint}", or(&names)))
}

/// Joins names: `a, b or c`.
pub(super) fn or(names: &[&str]) -> String {
    match names {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => names.concat(),
    }
}

fn possible_values<E: ValueEnum>() -> Vec<PossibleValue> {
    E::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect()
}
