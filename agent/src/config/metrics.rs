//! The settings that select metrics: `metrics`, `collectors`, `peaks`, `node` and the paths.

use std::collections::BTreeMap;

use fleetgauge_common::settings::{Layers, SettingError};

use super::{NodePaths, ScrapeSettings, TextfileSettings};
use crate::metrics::{MetricSet, Selection, SelectionSettings};
use crate::sampler::node::NodeOptions;

/// Maximum length of the name of a collector or option, in bytes. Longer ones do not exist.
const MAX_NAME_BYTES: usize = 128;

/// Returns the selected metrics, with those of exporters and text files. Rejects collectors and
/// options that do not exist.
pub(super) fn selection(
    layers: &mut Layers,
    scrapes: Vec<ScrapeSettings>,
    textfiles: Vec<TextfileSettings>,
) -> Selection {
    let options = options(layers);
    let options = NodeOptions::try_new(NodePaths::of(layers), options).unwrap_or_else(|bad| {
        layers.reject(SettingError::new("node", bad.to_string()));
        NodeOptions::default()
    });
    let settings = SelectionSettings {
        sets: layers.choices::<MetricSet>("metrics"),
        collectors: layers.list("collectors").join(","),
        options,
        peaks: layers.switch("peaks"),
        scrapes,
        textfiles,
    };
    Selection::try_new(settings).unwrap_or_else(|bad| {
        layers.reject(SettingError::new("collectors", bad.to_string()));
        Selection::default()
    })
}

/// Returns the options of collectors, by name.
fn options(layers: &mut Layers) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for entry in layers.list("node") {
        // An invalid entry is an error already.
        let Some((name, value)) = entry.split_once('=') else { continue };
        if options.insert(name.to_owned(), value.to_owned()).is_some() {
            let problem = format!("option {name:?} is given twice; remove one of them");
            layers.reject(SettingError::new("node", problem));
        }
    }
    options
}

/// Checks the form of a word of `collectors`.
pub(super) fn is_collector(text: &str) -> Result<(), String> {
    let name = text.strip_prefix(['+', '-']).unwrap_or(text);
    if is_name(name, b"_") {
        return Ok(());
    }
    Err("must be default, or +NAME or -NAME of a collector, such as default,-cpu".to_owned())
}

/// Checks the form of an entry of `node`.
pub(super) fn is_option(text: &str) -> Result<(), String> {
    let name = text.split_once('=').map(|(name, _)| name);
    if name.is_some_and(|name| is_name(name, b"_.-")) {
        return Ok(());
    }
    Err("must be NAME=VALUE, such as filesystem.mount-points-exclude=^/snap".to_owned())
}

fn is_name(name: &str, marks: &[u8]) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(valid)
}
