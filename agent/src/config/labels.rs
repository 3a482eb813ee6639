//! Static labels as operators write them.

use std::collections::BTreeMap;

use fleetgauge_proto::message::Label;
use fleetgauge_proto::{StaticLabels, Violation};

use super::MAX_LABEL_BYTES;

/// From `K=V` pairs, one a flag.
pub(super) fn from_pairs<S: AsRef<str>>(pairs: &[S]) -> Result<StaticLabels, String> {
    let labels = pairs.iter().map(|pair| {
        let pair = pair.as_ref();
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair:?} is not a label. Give NAME=VALUE, such as dc=fra."))?;
        Ok(Label { name, value })
    });
    legal(&labels.collect::<Result<Vec<_>, String>>()?)
}

/// From `k=v,k2=v2`; a value with a comma can only be given by flag or file.
pub(super) fn from_list(list: &str) -> Result<StaticLabels, String> {
    let pairs: Vec<_> = list.split(',').map(str::trim).filter(|pair| !pair.is_empty()).collect();
    from_pairs(&pairs)
}

/// From the file's table.
pub(super) fn from_table(table: &BTreeMap<String, String>) -> Result<StaticLabels, String> {
    let labels: Vec<_> = table.iter().map(|(name, value)| Label { name, value }).collect();
    legal(&labels)
}

fn legal(labels: &[Label<'_>]) -> Result<StaticLabels, String> {
    let labels = StaticLabels::try_new(labels).map_err(|violation| advice(&violation))?;
    if labels.bytes() > MAX_LABEL_BYTES {
        return Err(format!(
            "names and values take {} bytes. All together may take {MAX_LABEL_BYTES}.",
            labels.bytes()
        ));
    }
    Ok(labels)
}

fn advice(violation: &Violation) -> String {
    match violation {
        Violation::BadLabelName(_) => {
            format!("{violation}. A name is a letter or _, then letters, digits and _.")
        }
        Violation::ReservedLabel(_) => {
            format!("{violation}. The collector or Prometheus sets it; take another name.")
        }
        _ => format!("{violation}."),
    }
}
