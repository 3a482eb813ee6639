//! The TOML file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::de::{Deserializer, Error};

use super::BadSetting;
use crate::secret_file;

/// Most bytes of a settings' file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The file's keys, not yet looked into. Any other key is an error: it was meant to do something.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) collector: Option<String>,
    pub(super) id: Option<String>,
    pub(super) id_from: Option<String>,
    pub(super) interval: Option<String>,
    pub(super) metrics: Option<String>,
    pub(super) token_file: Option<String>,
    pub(super) insecure: Option<bool>,
    pub(super) tls: Option<bool>,
    pub(super) tls_ca: Option<String>,
    pub(super) tls_certificate: Option<String>,
    pub(super) tls_key: Option<String>,
    pub(super) tls_server_name: Option<String>,
    pub(super) log: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, BadSetting> {
        let bad = |problem| BadSetting::new(format!("--config {}", path.display()), problem);
        let unread = |problem| bad(format!("{problem}. Name a TOML file that can be read."));
        let bytes = secret_file::read_public(path, MAX_FILE_BYTES).map_err(unread)?;
        let text =
            String::from_utf8(bytes).map_err(|_| bad("it is not text in UTF-8".to_owned()))?;
        Self::parse(&text).map_err(|problem| BadSetting::new(path.display().to_string(), problem))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let no_toml = |error: Error| format!("{}: {}", line(text, &error), error.message());
        let document = Deserializer::parse(text).map_err(no_toml)?;
        Self::deserialize(document).map_err(|error| misread(text, &error))
    }
}

/// Which line is wrong.
fn line(text: &str, error: &Error) -> String {
    let before = text.get(..start(error)).unwrap_or_default();
    format!("line {}", before.matches('\n').count() + 1)
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// What is wrong with a key. Its value is not shown: it may be a secret in a wrong place.
fn misread(text: &str, error: &Error) -> String {
    let (line, message) = (line(text, error), error.message());
    if message.starts_with("unknown field `token`") {
        return format!(
            "{line}, `token`: the token itself does not belong here. Put it into a file of its own and name that as \
             token_file, or set FLEETGAUGE_TOKEN"
        );
    }
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

/// The key of the value that starts here.
fn key(text: &str, start: usize) -> Option<&str> {
    let before = text.get(..start)?.trim_end().strip_suffix('=')?.trim_end();
    before.rsplit(['\n', '{', ',']).next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_known() {
        let file = File::parse(
            "collector = 'c:1'\nid = 'x'\nid_from = 'hostname'\ninterval = '15s'\n\
             metrics = 'basic'\ntoken_file = '/t'\ninsecure = false\ntls = true\ntls_ca = '/c'\n\
             tls_certificate = '/o'\ntls_key = '/k'\ntls_server_name = 'n'\nlog = 'info'\n[labels]\ndc = 'fra'\n",
        )
        .unwrap();
        assert_eq!(file.collector.as_deref(), Some("c:1"));
        assert_eq!(file.labels.unwrap()["dc"], "fra");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = File::parse("collector = 'c:1'\nintervall = '15s'\n").unwrap_err();
        assert!(error.starts_with("line 2: unknown field `intervall`, expected one of"), "{error}");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_line() {
        for (text, right) in [
            ("interval = 15\n", "line 1, `interval`: expected a string"),
            ("\n[labels]\n'rack no' = 7\n", "line 3, `'rack no'`: expected a string"),
            ("labels = { a = 'b', c = 5 }\n", "line 1, `c`: expected a string"),
            ("[collector]\n", "line 1: expected a string"),
        ] {
            assert_eq!(File::parse(text).unwrap_err(), right);
        }
    }

    #[test]
    fn a_token_in_the_file_is_not_shown_but_told_its_place() {
        let error = File::parse("id = 'x'\ntoken = \"hunter2\"\n").unwrap_err();
        assert!(error.starts_with("line 2, `token`: ") && error.contains("token_file"), "{error}");
        assert!(!error.contains("hunter2") && error.contains("FLEETGAUGE_TOKEN"), "{error}");
    }

    #[test]
    fn a_secret_in_a_wrong_place_is_not_shown() {
        for text in [
            "insecure = \"hunter2\"",
            "insecure = \"a, expected hunter2\"",
            "labels = \"hunter2\"",
            "labels = { a = \"\"\"\nhunter2=\"\"\", b = 5 }",
            "passphrase = \"hunter2\"",
            "token_file = hunter2",
            "token_file = \"hunter2",
            "token_file = \"hunter2\\q\"",
            "token_file = \"\"\"\nhunter2=\\q\"\"\"",
            "token_file = 'x' hunter2",
            "hunter2",
        ] {
            let error = File::parse(text).unwrap_err();
            assert!(error.starts_with("line ") && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn broken_toml_is_an_error() {
        File::parse("collector = \n").unwrap_err();
        File::parse("= = =").unwrap_err();
    }
}
