use std::sync::Arc;

use fleetgauge_proto::message::Table;
use fleetgauge_proto::report::ABSENT;

use super::*;
use crate::remote_write::encode::tests::fixture::{Agent, catalog, column, family, labels_of};
use crate::remote_write::encode::{Encoder, Points};
use crate::remote_write::{RuleSet, Rules};

/// An agent with two catalogs, tables with and without rows, and absent values.
fn agent() -> Agent {
    let first = [
        family("load", 1),
        family("wait_seconds", 3),
        family("disk_bytes", 2),
        family("mount_bytes", 2),
    ];
    let fixed = vec![column(0, 1, &[("mode", "idle")]), column(1, 3, &[])];
    let tables = vec![
        Table { row_labels: vec![], columns: fixed },
        Table { row_labels: vec!["device", "kind"], columns: vec![column(2, 2, &[])] },
        Table { row_labels: vec!["mount"], columns: vec![column(3, 0, &[])] },
    ];
    let second = [family("temperature", 1)];
    let sensors = vec![Table { row_labels: vec!["sensor"], columns: vec![column(0, 0, &[])] }];
    let catalogs = [catalog(0, &first, tables), catalog(1, &second, sensors)];
    let rows = [(0, 1, vec!["sda", "ssd", "sdb", ""]), (1, 0, vec!["cpu \"0\"", "ü"])];
    Agent::new(&[("dc", "f\"ra")], &catalogs, &rows, &[0.5, 1.0, 2.0, 3.0, ABSENT])
}

/// Series of an agent and the frames of its catalogs.
fn encoded(agent: &Agent) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut series, mut frames) = (Vec::new(), Vec::new());
    let number = |entry: &Arc<CatalogEntry>| {
        frames.push(encode_catalog(entry.catalog()).unwrap());
        Some(u32::try_from(frames.len()).unwrap() - 1)
    };
    encode_series(&agent.labels, agent.layout(), &agent.present(), number, &mut series).unwrap();
    (series, frames)
}

fn decoded(series: &[u8], frames: &[Vec<u8>], registry: &Registry) -> Option<JournaledSeries> {
    let (id, limits) = (AgentId::try_new("web-1").unwrap(), Limits::default());
    decode_series(&id, series, registry, &limits, |number| {
        decode_catalog(frames.get(number as usize)?, registry, &limits)
    })
}

fn markers(labels: &str, layout: &Layout, present: &CellSet) -> Vec<u8> {
    let rules = Rules::try_new(&RuleSet::default()).unwrap();
    let mut request = Vec::new();
    let cells = 0..layout.cells() + 1;
    let mut encoder = Encoder::new(Arc::new(rules));
    encoder.series(labels, layout, &[Points::markers(present, 7)], cells, &mut request);
    request
}

#[test]
fn decoded_series_have_the_markers_of_the_encoded_ones() {
    let agent = agent();
    let (series, frames) = encoded(&agent);
    assert_eq!(frames.len(), 2);
    // A registry that does not know the catalogs.
    let other = Agent::new(&[], &[], &[], &[]).registry;
    let decoded = decoded(&series, &frames, &other).unwrap();
    assert_eq!(decoded.present, agent.present());
    let expected = markers(&agent.labels, agent.layout(), &agent.present());
    assert_eq!(markers(&decoded.labels, &decoded.layout, &decoded.present), expected);
}

#[test]
fn catalogs_keep_their_fingerprints_so_that_returning_agents_share_them() {
    let agent = agent();
    let (series, frames) = encoded(&agent);
    let before = agent.registry.catalogs().len();
    decoded(&series, &frames, &agent.registry).unwrap();
    assert_eq!(agent.registry.catalogs().len(), before);
}

#[test]
fn client_port_of_classic_pages_is_kept() {
    let id = AgentId::try_new("web-1").unwrap();
    let labels = write_labels(&id, &StaticLabels::default(), Some(4_711));
    assert_eq!(checked_labels(&id, &labels), Some(labels));
}

#[test]
fn labels_of_another_agent_or_with_invalid_names_are_rejected() {
    let id = AgentId::try_new("web-1").unwrap();
    let rejected = [
        "",
        "agent=\"web-1",
        "agent=\"web-2\"",
        "agent=\"web-1\",",
        "agent=\"web-1\",x=\"1",
        "agent=\"web-1\",0=\"1\"",
        "agent=\"web-1\",job=\"1\"",
        "agent=\"web-1\",x=\"1\",x=\"2\"",
        "agent=\"web-1\",client_no=\"99999\"",
        "agent=\"web-1\"}\n",
    ];
    for labels in rejected {
        assert_eq!(checked_labels(&id, labels), None, "{labels}");
    }
    let valid = labels_of("web-1", &[("dc", "fra")]);
    assert!(checked_labels(&id, &valid).is_some());
}

#[test]
fn truncated_series_are_rejected() {
    let agent = agent();
    let (series, frames) = encoded(&agent);
    for length in 0..series.len() {
        assert!(decoded(&series[..length], &frames, &agent.registry).is_none(), "{length} bytes");
    }
    assert!(decoded(&[&*series, b"x"].concat(), &frames, &agent.registry).is_none());
}

#[test]
fn any_changed_byte_is_rejected_or_gives_series_of_the_layout() {
    let agent = agent();
    let (series, frames) = encoded(&agent);
    for (at, byte) in (0..series.len()).flat_map(|at| [0, 1, 0x7f, 0x80, 0xff].map(|b| (at, b))) {
        let mut changed = series.clone();
        changed[at] = byte;
        if let Some(decoded) = decoded(&changed, &frames, &agent.registry) {
            assert!(decoded.present.len() <= decoded.layout.cells() + 1);
            markers(&decoded.labels, &decoded.layout, &decoded.present);
        }
    }
}

#[test]
fn rows_that_claim_a_gigabyte_are_rejected() {
    let agent = agent();
    let (_, frames) = encoded(&agent);
    let labels = agent.labels.as_bytes();
    let mut series = u32::try_from(labels.len()).unwrap().to_le_bytes().to_vec();
    series.extend_from_slice(labels);
    series.push(1);
    for number in [0_u32, 1 << 30] {
        series.extend_from_slice(&number.to_le_bytes());
    }
    assert!(decoded(&series, &frames, &agent.registry).is_none());
}

#[test]
fn presence_of_another_size_or_beyond_the_layout_is_rejected() {
    let agent = agent();
    let cells = agent.layout().cells();
    assert!(cells < 63);
    let set = |words: &[u64]| CellSet::from_words(agent.layout(), words.into());
    assert!(set(&[]).is_none());
    assert!(set(&[1, 0]).is_none());
    assert!(set(&[1 << (cells + 1)]).is_none());
    assert!(set(&[1 << cells]).is_some());
}
