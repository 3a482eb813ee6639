//! Agents, and decoded requests.

use std::sync::Arc;

use fleetgauge_proto::message::{self, Column, Family, Label, RowChange, Table};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{AgentId, Catalog, Limits, StaticLabels};
use prost::Message;

use super::super::{CellSet, Encoder, Points};
use crate::exposition::{Format, render, write_labels};
use crate::limits::memory_budget::MemoryBudget;
use crate::peers::handle::ConnectionHandle;
use crate::registry::{
    CatalogLimits, ConfiguredKinds, Layout, PendingAgent, PendingValues, Registry,
};
use crate::remote_write::{RuleSet, Rules};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) series: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelPair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    unix_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) help: String,
    #[prost(string, tag = "5")]
    pub(crate) unit: String,
}

/// Time of all samples.
pub(crate) const TIME: i64 = 1_800_000_000_123;

/// A series: its labels as `name="value"`, separated by commas, and the bits of its value. The name
/// is the label `__name__`.
pub(crate) type Series = (String, u64);

/// Decodes a request whose series have one sample each.
pub(crate) fn decoded(request: &[u8]) -> Vec<Series> {
    let one = |(labels, samples): (String, Vec<_>)| {
        let [(value, TIME)] = samples[..] else { panic!("{labels}: {samples:?}") };
        (labels, value)
    };
    decoded_samples(request).into_iter().map(one).collect()
}

/// Decodes a request to the labels of its series, and the bits and times of their samples. Checks
/// what the engines require of each series.
pub(crate) fn decoded_samples(request: &[u8]) -> Vec<(String, Vec<(u64, i64)>)> {
    let request = WriteRequest::decode(request).unwrap();
    let series = request.series.iter().map(|series| {
        let labels = &series.labels;
        assert!(labels.is_sorted_by(|a, b| a.name < b.name), "{labels:?}");
        assert!(labels.iter().all(|label| !label.value.is_empty()), "{labels:?}");
        let labels = labels.iter().map(|label| format!("{}={:?}", label.name, label.value));
        let samples = series.samples.iter().map(|sample| (sample.value.to_bits(), sample.unix_ms));
        (labels.collect::<Vec<_>>().join(","), samples.collect())
    });
    series.collect()
}

/// The labels, layout and values of an agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) registry: Arc<Registry>,
    pub(crate) labels: Box<str>,
    pub(crate) pending: PendingValues,
    pub(crate) values: Vec<f64>,
}

/// The rows of a table, flat: the slot and index of the table, and the label values.
pub(crate) type Rows = (u8, u32, Vec<&'static str>);

impl Agent {
    /// Creates an agent. `values` are repeated until all cells have one.
    pub(crate) fn new(
        statics: &[(&str, &str)],
        catalogs: &[message::Catalog<'_>],
        rows: &[Rows],
        values: &[f64],
    ) -> Self {
        let limits = CatalogLimits { catalogs: 100, bytes: 1 << 24 };
        let budget = Arc::new(MemoryBudget::new(usize::MAX));
        let registry = Arc::new(Registry::new(limits, ConfiguredKinds::new(), budget));
        Self::in_registry(&registry, labels_of("web-1", statics), catalogs, rows, values)
    }

    /// Creates another agent with these labels in the registry.
    pub(crate) fn in_registry(
        registry: &Arc<Registry>,
        labels: Box<str>,
        catalogs: &[message::Catalog<'_>],
        rows: &[Rows],
        values: &[f64],
    ) -> Self {
        let mut pending = PendingValues::empty();
        for (slot, declared) in catalogs.iter().enumerate() {
            let catalog = Catalog::try_new(declared, &Limits::default()).unwrap();
            let (_, fingerprint) = fleetgauge_proto::catalog::encode(declared).unwrap();
            let pin = registry.catalogs().intern(fingerprint, catalog, 10).unwrap();
            registry.set_catalog(&mut pending, slot, pin).unwrap();
        }
        for (slot, table, rows) in rows {
            let change =
                RowChange { slot: *slot, table: *table, removed: vec![], added: rows.clone() };
            registry.change_rows(&mut pending, &[change], &Limits::default()).unwrap();
        }
        let cells = pending.layout().cells();
        let values: Vec<_> = values.iter().copied().cycle().take(cells).collect();
        let mut encoded = EncodedValues::default();
        encoded.encode_all(&values, pending.layout().shape());
        pending.apply(&encoded.values()).unwrap();
        Self { registry: Arc::clone(registry), labels, pending, values }
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.pending.layout()
    }

    pub(crate) fn present(&self) -> CellSet {
        CellSet::of(self.layout(), &self.values)
    }

    /// Returns the request with all its samples, and their number.
    pub(crate) fn request(&self, rules: &Rules) -> (Vec<u8>, usize) {
        let mut encoder = Encoder::new(Arc::new(rules.clone()));
        self.request_by(&mut encoder)
    }

    pub(crate) fn request_by(&self, encoder: &mut Encoder) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let cells = 0..self.layout().cells() + 1;
        let samples =
            encoder.series(&self.labels, self.layout(), &[self.samples()], cells, &mut out);
        (out, samples.total())
    }

    pub(crate) fn samples(&self) -> Points<'_> {
        Points::samples(&self.values, TIME)
    }

    /// Returns the series of a request with all its samples.
    pub(crate) fn series(&self, rules: &Rules) -> Vec<Series> {
        let (request, samples) = self.request(rules);
        let series = decoded(&request);
        assert_eq!(series.len(), samples);
        series
    }

    /// Returns the labels of the series of a request, in its order.
    pub(crate) fn names(&self, rules: &Rules) -> Vec<String> {
        self.series(rules).into_iter().map(|(labels, _)| labels).collect()
    }

    /// Returns the series of the page, parsed by a parser that shares no code with its writer.
    /// Registers the agent.
    pub(crate) fn page(self) -> Vec<Series> {
        let handle = ConnectionHandle::new(1, "127.0.0.1:9".parse().unwrap(), 0);
        let id = AgentId::try_new("web-1").unwrap();
        let pending = PendingAgent { id, host_nonce: [1; 16], labels: self.labels, handle };
        let _ = self.registry.enter(&pending, self.pending, 0).unwrap();
        let mut page = Vec::new();
        render(&self.registry.snapshot(), Format::Text, &mut page).unwrap();
        let mut series = Vec::new();
        let mut reader = fleetgauge_page::Reader::new(fleetgauge_page::Format::Text);
        reader.push(&page, |item| {
            if let fleetgauge_page::Item::Sample(sample) = item.unwrap() {
                let labels = sample.labels.iter();
                let labels = labels.map(|(name, value)| (name, unescaped(value)));
                let mut labels: Vec<_> =
                    labels.chain([("__name__", sample.name.to_owned())]).collect();
                labels.sort();
                let labels = labels.iter().map(|(name, value)| format!("{name}={value:?}"));
                series.push((labels.collect::<Vec<_>>().join(","), sample.value.to_bits()));
            }
        });
        series
    }
}

/// Returns the labels of an agent.
pub(crate) fn labels_of(id: &str, statics: &[(&str, &str)]) -> Box<str> {
    let statics: Vec<_> = statics.iter().map(|&(name, value)| Label { name, value }).collect();
    let statics = StaticLabels::try_new(&statics).unwrap();
    write_labels(&AgentId::try_new(id).unwrap(), &statics, None)
}

fn unescaped(value: &str) -> String {
    fleetgauge_page::unescape(value, true).unwrap()
}

/// Returns valid rules without `fleetgauge_agent_up`.
pub(crate) fn rules(change: impl FnOnce(&mut RuleSet)) -> Rules {
    let mut rules = RuleSet { agent_up: false, ..RuleSet::default() };
    change(&mut rules);
    Rules::try_new(&rules).unwrap()
}

pub(crate) fn family(name: &'static str, kind: u8) -> Family<'static> {
    Family { name, kind, unit: "", help: "" }
}

/// A column of the kind of its family, with three buckets or quantiles if it has any.
pub(crate) fn column(
    family: u32,
    kind: u8,
    labels: &[(&'static str, &'static str)],
) -> Column<'static> {
    let parameters = match kind {
        3 => vec![-1.0, 0.5, 10.0],
        4 => vec![0.5, 0.99, 1.0],
        _ => vec![],
    };
    let width = if parameters.is_empty() { 1 } else { parameters.len() as u32 + 2 };
    let labels = labels.iter().map(|&(name, value)| Label { name, value }).collect();
    Column { family, width, decimals: 0, parameters, labels }
}

pub(crate) fn catalog(
    slot: u8,
    families: &[Family<'static>],
    tables: Vec<Table<'static>>,
) -> message::Catalog<'static> {
    message::Catalog { stream: 0, slot, families: families.to_vec(), tables }
}

/// Returns a catalog of gauges without labels.
pub(crate) fn gauges(slot: u8, names: &[&'static str]) -> message::Catalog<'static> {
    let families: Vec<_> = names.iter().map(|name| family(name, 1)).collect();
    let columns = (0..names.len() as u32).map(|own| column(own, 1, &[])).collect();
    catalog(slot, &families, vec![Table { row_labels: vec![], columns }])
}
