//! Parses a configuration file. Errors name line and key but not the value, which may be a secret
//! in the wrong place.

use serde::Deserialize;
use toml::de::{Deserializer, Error};

/// Parses a TOML file.
///
/// # Errors
/// The first line that is not TOML or has an unknown setting.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    let no_toml = |error: Error| format!("{}: {}", line(text, &error), error.message());
    let document = Deserializer::parse(text).map_err(no_toml)?;
    T::deserialize(document).map_err(|error| misread(text, &error))
}

/// Returns the line of an error.
fn line(text: &str, error: &Error) -> String {
    let before = text.get(..start(error)).unwrap_or_default();
    format!("line {}", before.matches('\n').count() + 1)
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// Returns the message about an invalid key.
fn misread(text: &str, error: &Error) -> String {
    let (line, message) = (line(text, error), error.message());
    match message.rsplit_once(", expected ") {
        Some((problem, right)) if problem.starts_with("invalid ") => {
            match key(text, start(error)) {
                Some(key) => format!("{line}, `{key}`: expected {right}"),
                None => format!("{line}: expected {right}"),
            }
        }
        _ => format!("{line}: {message}"),
    }
}

/// Returns the key of the value at this offset.
fn key(text: &str, start: usize) -> Option<&str> {
    let before = text.get(..start)?.trim_end().strip_suffix('=')?.trim_end();
    before.rsplit(['\n', '{', ',']).next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::super::flags::File;
    use super::parse;

    fn problem(text: &str) -> String {
        parse::<File>(text).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_line_is_named_with_its_key() {
        let unknown = problem("http = '127.0.0.1:1'\ntoken = 'hunter2'\n");
        assert!(unknown.starts_with("line 2: unknown field `token`, expected one of"), "{unknown}");
        for (text, right) in [
            ("http = 5", "line 1, `http`: expected a string"),
            ("\nlisten = 'hunter2'", "line 2, `listen`: expected a sequence"),
            ("max_schemas = -1", "line 1, `max_schemas`: expected u64"),
            ("kinds = { a = 'gauge', b = 5 }", "line 1, `b`: expected a string"),
            ("[http]", "line 1: expected a string"),
        ] {
            assert_eq!(problem(text), right);
        }
    }

    #[test]
    fn a_secret_in_a_wrong_place_is_not_shown() {
        for text in [
            "classic = 'hunter2'",
            "max_schemas = 'a, expected hunter2'",
            "token = \"hunter2\"",
            "credentials = hunter2",
            "credentials = \"hunter2",
            "credentials = 'x' hunter2",
            "credentials = \"\"\"\nhunter2=\\q\"\"\"",
            "hunter2",
        ] {
            let problem = problem(text);
            assert!(problem.starts_with("line ") && !problem.contains("hunter2"), "{problem}");
        }
    }
}
