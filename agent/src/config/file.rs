//! The TOML file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::BadSetting;

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
        let text = std::fs::read_to_string(path).map_err(|error| {
            let problem = format!("{error}. Name a TOML file that can be read.");
            BadSetting::new(format!("--config {}", path.display()), problem)
        })?;
        Self::parse(&text).map_err(|problem| BadSetting::new(path.display().to_string(), problem))
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let number = before.matches('\n').count() + 1;
            let line = text.lines().nth(number - 1).unwrap_or_default().trim();
            format!("line {number}, `{line}`: {}", error.message())
        })
    }
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
        assert!(
            error.starts_with("line 2, `intervall = '15s'`: unknown field `intervall`"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_type_is_named_with_its_line() {
        let error = File::parse("interval = 15\n").unwrap_err();
        assert!(error.starts_with("line 1, `interval = 15`: invalid type"), "{error}");
    }

    #[test]
    fn broken_toml_is_an_error() {
        File::parse("collector = \n").unwrap_err();
        File::parse("= = =").unwrap_err();
    }
}
