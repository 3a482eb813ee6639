//! The setting `labels`, and the key `labels` of tables.

use fleetgauge_common::settings::{Entry, Layers, SettingError};
use fleetgauge_proto::message::Label;
use fleetgauge_proto::{StaticLabels, Violation};

use super::MAX_LABEL_BYTES;

/// Returns the labels of the setting; none if one of them is invalid.
pub(super) fn labels(layers: &mut Layers) -> StaticLabels {
    let labels = parse_all(&layers.list("labels"));
    let labels = labels.map_err(|problem| SettingError::new("labels", problem));
    layers.accept(labels).unwrap_or_default()
}

/// Returns the labels of a table; none if one of them is invalid.
pub(super) fn of_entry(layers: &mut Layers, entry: &Entry) -> StaticLabels {
    let labels = parse_all(&entry.list("labels"));
    let labels = labels.map_err(|problem| entry.error("labels", problem));
    layers.accept(labels).unwrap_or_default()
}

fn parse_all(entries: &[String]) -> Result<StaticLabels, String> {
    let labels: Vec<_> = entries.iter().filter_map(|entry| parse(entry).ok()).collect();
    // An invalid entry is an error already.
    if labels.len() < entries.len() {
        return Ok(StaticLabels::default());
    }
    let labels = StaticLabels::try_new(&labels).map_err(|violation| violation.to_string())?;
    match labels.bytes() {
        0..=MAX_LABEL_BYTES => Ok(labels),
        bytes => Err(format!(
            "names and values have {bytes} bytes; at most {MAX_LABEL_BYTES} are allowed"
        )),
    }
}

/// Checks that `text` is a valid label, `NAME=VALUE`.
pub(super) fn is_label(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

fn parse(text: &str) -> Result<Label<'_>, String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| "must be NAME=VALUE, such as dc=fra".to_owned())?;
    let label = Label { name, value };
    StaticLabels::try_new(&[label]).map(|_| label).map_err(|violation| match violation {
        Violation::BadLabelName(_) => {
            "the name must be a letter or _, then letters, digits and _".to_owned()
        }
        Violation::ReservedLabel(_) => {
            format!("{violation} for the collector or Prometheus; choose another name")
        }
        _ => violation.to_string(),
    })
}
