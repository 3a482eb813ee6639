use std::collections::BTreeMap;

use fleetgauge_proto::{Catalog, Limits};
use prost::Message;

use super::*;
use crate::remote_write::RuleSet;
use crate::remote_write::encode::tests::fixture::{
    Metadata, WriteRequest, catalog, column, family, rules,
};
use fleetgauge_proto::message::Table;

/// Returns type, name, help and unit of the family's metadata.
fn metadata(kind: u8, change: impl FnOnce(&mut RuleSet)) -> Option<(i32, String, String, String)> {
    let mut declared = family("a_seconds", kind);
    (declared.help, declared.unit) = ("Some \"help\".\n", "seconds");
    let tables = vec![Table { row_labels: vec![], columns: vec![column(0, kind, &[])] }];
    let catalog = Catalog::try_new(&catalog(0, &[declared], tables), &Limits::default()).unwrap();
    let mut out = Vec::new();
    let written = write_metadata(&catalog.families[0], &rules(change), &mut out);
    let mut decoded = WriteRequest::decode(&out[..]).unwrap();
    assert_eq!(written, decoded.metadata.len() == 1);
    let Metadata { kind, name, help, unit } = decoded.metadata.pop()?;
    Some((kind, name, help, unit))
}

#[test]
fn metadata_is_that_of_a_scrape() {
    let expected = [
        (1, 2, "a_seconds"),
        (2, 1, "a_seconds_total"),
        (3, 3, "a_seconds"),
        (4, 5, "a_seconds"),
        (5, 2, "a_seconds_info"),
        (6, 0, "a_seconds"),
        (7, 1, "a_seconds"),
    ];
    for (kind, number, name) in expected {
        let expected = (number, name.into(), "Some \"help\".\n".into(), "seconds".into());
        assert_eq!(metadata(kind, |_| ()), Some(expected));
    }
    assert_eq!(metadata(8, |_| ()), None);
}

#[test]
fn metadata_follows_the_rules() {
    let drop = |pattern: &str| {
        let pattern = pattern.to_owned();
        move |rules: &mut RuleSet| rules.drop_metrics = vec![pattern]
    };
    assert_eq!(metadata(2, drop("a_seconds_total")), None);
    assert!(metadata(3, drop("*_bucket")).is_some());
    assert_eq!(metadata(3, drop("a_*")), None);
    let name = |kind, old: &str, new: &str| {
        let renames = BTreeMap::from([(old.to_owned(), new.to_owned())]);
        metadata(kind, |rules| rules.rename_metrics = renames).map(|(_, name, ..)| name)
    };
    assert_eq!(name(2, "a_seconds_total", "b").as_deref(), Some("b"));
    assert_eq!(name(3, "a_seconds_bucket", "b_bucket").as_deref(), Some("b"));
    assert_eq!(name(3, "a_seconds_bucket", "b"), None);
    assert_eq!(name(3, "a_seconds", "b").as_deref(), Some("a_seconds"));
}
