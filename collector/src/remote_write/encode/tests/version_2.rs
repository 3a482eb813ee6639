//! Requests of remote write 2.0.

use std::collections::BTreeSet;

use fleetgauge_receiver::wire_v2::Request;
use proptest::prelude::*;
use prost::Message;

use super::fixture::Series;
use super::pages::{agent, renaming_rules, two_agents};
use super::*;
use crate::remote_write::RuleSet;

/// The request of [`small_agent`], whose families have help texts and units.
const REQUEST: &str = include_str!("request_v2.hex");

/// Type, help text and unit of a series.
type Metadata = Option<(i32, String, String)>;

/// Decodes a request with a decoder of its own, and checks what engines require.
fn decoded_v2(request: &[u8]) -> (Vec<Series>, Vec<Metadata>) {
    let Request { symbols, timeseries } = Request::decode(request).unwrap();
    assert_eq!(symbols[0], "");
    let distinct: BTreeSet<_> = symbols.iter().collect();
    assert_eq!(distinct.len(), symbols.len());
    let symbol = |index: u32| &symbols[index as usize];
    let series = timeseries.iter().map(|series| {
        let (labels, rest) = series.labels_refs.as_chunks::<2>();
        assert!(rest.is_empty());
        let labels: Vec<_> =
            labels.iter().map(|[name, value]| (symbol(*name), symbol(*value))).collect();
        assert!(labels.is_sorted_by(|(a, _), (b, _)| a < b), "{labels:?}");
        assert!(labels.iter().all(|(_, value)| !value.is_empty()), "{labels:?}");
        let [sample] = series.samples[..] else { panic!("{series:?}") };
        assert_eq!(sample.timestamp, TIME);
        let labels = labels.iter().map(|(name, value)| format!("{name}={value:?}"));
        (labels.collect::<Vec<_>>().join(","), sample.value.to_bits())
    });
    let metadata = timeseries.iter().map(|series| {
        let own = series.metadata?;
        Some((own.kind, symbol(own.help_ref).clone(), symbol(own.unit_ref).clone()))
    });
    (series.collect(), metadata.collect())
}

fn encoder(rules: &Rules) -> Encoder {
    Encoder::with_protocol(Arc::new(rules.clone()), Protocol::V2)
}

/// Returns the request with all samples of these agents.
fn request(encoder: &mut Encoder, agents: &[&Agent]) -> Vec<u8> {
    let mut request = Vec::new();
    for agent in agents {
        let (labels, layout) = (&agent.labels, agent.layout());
        let cells = 0..layout.cells() + 1;
        encoder.series(labels, layout, &[agent.samples()], cells, &mut request);
    }
    encoder.finish(&mut request);
    request
}

fn families() -> [fleetgauge_proto::message::Family<'static>; 3] {
    let mut families = [family("load", 1), family("wait_seconds", 3), family("disk_bytes", 2)];
    (families[0].help, families[1].help) = ("Jobs.", "Time.");
    (families[1].unit, families[2].unit) = ("seconds", "bytes");
    families
}

fn documented_agent() -> Agent {
    let fixed = vec![column(0, 1, &[("mode", "idle")]), column(1, 3, &[])];
    let tables = vec![
        Table { row_labels: vec![], columns: fixed },
        Table { row_labels: vec!["device"], columns: vec![column(2, 2, &[])] },
    ];
    let rows = [(0, 1, vec!["sda", "sdb"])];
    let values = [0.5, 1.0, 2.0, 3.0, 4.0, 5.5, 77.0, ABSENT];
    Agent::new(&[("dc", "fra")], &[catalog(0, &families(), tables)], &rows, &values)
}

#[test]
fn request_of_version_2_has_the_bytes_of_the_test_vector() {
    let request = request(&mut encoder(&Rules::default()), &[&documented_agent()]);
    let hex: String = request.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected: String = REQUEST.split_whitespace().collect();
    assert_eq!(hex, expected);
}

#[test]
fn test_vector_of_version_2_has_the_series_of_version_1_and_their_metadata() {
    let digits: Vec<_> = REQUEST.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |digits: &[char]| u8::from_str_radix(&String::from_iter(digits), 16).unwrap();
    let request: Vec<_> = digits.chunks(2).map(byte).collect();
    let (series, metadata) = decoded_v2(&request);
    assert_eq!(series, documented_agent().series(&Rules::default()));
    let of = |kind, help: &str, unit: &str| Some((kind, help.to_owned(), unit.to_owned()));
    let mut expected = vec![of(2, "Jobs.", "")];
    expected.extend(vec![of(3, "Time.", "seconds"); 6]);
    // The row, and `fleetgauge_agent_up`.
    expected.extend([of(1, "", "bytes"), of(2, "", "")]);
    assert_eq!(metadata, expected);
}

#[test]
fn symbols_are_only_those_of_the_request() {
    let agent = documented_agent();
    let mut encoder = encoder(&rules(|_| ()));
    let mut part = |cells| {
        let mut out = Vec::new();
        let (labels, layout) = (&agent.labels, agent.layout());
        encoder.series(labels, layout, &[agent.samples()], cells, &mut out);
        encoder.finish(&mut out);
        Request::decode(&out[..]).unwrap().symbols
    };
    part(0..8);
    let own = ["", "agent", "web-1", "dc", "fra"];
    assert_eq!(part(0..1)[..5], own);
    assert_eq!(part(0..1)[5..], ["Jobs.", "__name__", "load", "mode", "idle"]);
    assert_eq!(part(7..8), own);
}

#[test]
fn markers_of_version_2_are_those_of_version_1() {
    let agent = documented_agent();
    let (present, cells) = (agent.present(), 0..agent.layout().cells() + 1);
    let markers = |encoder: &mut Encoder| {
        let mut out = Vec::new();
        let (labels, layout) = (&agent.labels, agent.layout());
        encoder.series(labels, layout, &[Points::markers(&present, TIME)], cells.clone(), &mut out);
        encoder.finish(&mut out);
        out
    };
    let expected = decoded(&markers(&mut Encoder::new(Arc::default())));
    let (series, _) = decoded_v2(&markers(&mut encoder(&Rules::default())));
    assert_eq!(series, expected);
    assert!(series.iter().all(|(_, value)| *value == 0x7ff0_0000_0000_0002));
}

#[test]
fn encoding_version_2_again_allocates_nothing() {
    let agent = documented_agent();
    let mut encoder = encoder(&Rules::default());
    let mut out = Vec::with_capacity(64 * 1024);
    let cells = 0..agent.layout().cells() + 1;
    let mut encode = || {
        out.clear();
        let (labels, layout) = (&agent.labels, agent.layout());
        encoder.series(labels, layout, &[agent.samples()], cells.clone(), &mut out);
        encoder.finish(&mut out);
    };
    encode();
    assert_eq!(allocation_counter::measure(encode).count_total, 0);
}

proptest! {
    /// Templates are used again by later requests, with other symbols.
    #[test]
    fn both_versions_have_the_same_series(
        [one, other] in two_agents(),
        rules in renaming_rules(),
    ) {
        let mut encoder = encoder(&rules);
        for agents in [&[&one][..], &[&other, &one], &[&one, &other]] {
            let (series, _) = decoded_v2(&request(&mut encoder, agents));
            let expected: Vec<_> = agents.iter().flat_map(|agent| agent.series(&rules)).collect();
            prop_assert_eq!(series, expected);
        }
    }

    #[test]
    fn external_labels_are_those_of_version_1(agent in agent()) {
        let rules = rules(|rules: &mut RuleSet| {
            rules.external_labels = ["A", "mode", "zz", "other"]
                .map(|name| (name.to_owned(), "external".to_owned()))
                .into();
            rules.agent_up = true;
        });
        let (series, _) = decoded_v2(&request(&mut encoder(&rules), &[&agent]));
        prop_assert_eq!(series, agent.series(&rules));
    }
}
