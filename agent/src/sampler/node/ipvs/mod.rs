//! The load balancer of the kernel, from `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`.

mod backend;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::backend::{Backend, Counts, each_backend};
use super::column::{counter, gauge, table};
use super::files::{KeptFile, parse_existing_file, parse_file};
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "ipvs",
    by_default: true,
    options: &[NodeOption {
        name: "ipvs.backend-labels",
        kind: OptionKind::Words(&LABELS),
        default: "local_address,local_port,remote_address,remote_port,proto,local_mark",
    }],
    tables: |_| vec![table(&[], &COLUMNS), table(&LABELS, &BACKEND_COLUMNS)],
    create: |options| Ok(Box::new(LoadBalancer::new(options))),
};

/// Totals, in the order of the file.
const COLUMNS: [ColumnSpec; 5] = [
    counter("node_ipvs_connections_total", "Connections made."),
    counter("node_ipvs_incoming_packets_total", "Packets received from clients."),
    counter("node_ipvs_outgoing_packets_total", "Packets sent to clients."),
    counter("node_ipvs_incoming_bytes_total", "Bytes received from clients."),
    counter("node_ipvs_outgoing_bytes_total", "Bytes sent to clients."),
];

/// Labels of a backend. Those that are not selected are empty.
const LABELS: [&str; 6] =
    ["local_address", "local_port", "remote_address", "remote_port", "proto", "local_mark"];

const BACKEND_COLUMNS: [ColumnSpec; 3] = [
    gauge("node_ipvs_backend_connections_active", "Active connections to the backend."),
    gauge("node_ipvs_backend_connections_inactive", "Inactive connections to the backend."),
    gauge("node_ipvs_backend_weight", "Weight of the backend."),
];

/// Maximum number of backends. Further ones are ignored.
const MAX_BACKENDS: usize = 100_000;

#[derive(Debug)]
struct LoadBalancer {
    /// Whether each of [`LABELS`] is selected.
    labels: [bool; LABELS.len()],
    totals: KeptFile,
    backends: KeptFile,
    /// Sums of the backends that the selected labels do not tell apart.
    sums: BTreeMap<Backend, Counts>,
    texts: [String; LABELS.len()],
}

impl LoadBalancer {
    fn new(options: &NodeOptions) -> Self {
        let is_selected = |label| options.words("ipvs.backend-labels").any(|word| word == label);
        Self {
            labels: LABELS.map(is_selected),
            totals: KeptFile::new(options.procfs("net/ip_vs_stats")),
            backends: KeptFile::new(options.procfs("net/ip_vs")),
            sums: BTreeMap::new(),
            texts: Default::default(),
        }
    }
}

impl Source for LoadBalancer {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { labels, totals, backends, sums, texts } = self;
        // The file does not exist until the kernel module is loaded.
        let parse_totals = |text: &str| parse_totals(text).ok_or("the third line is broken");
        let totals = parse_existing_file(totals, parse_totals)?;
        sums.clear();
        let each = |backend: Backend, counts| {
            let backend = backend.with_labels(*labels);
            if sums.len() < MAX_BACKENDS || sums.contains_key(&backend) {
                sums.entry(backend).or_default().add(counts);
            }
        };
        parse_file(backends, |text| each_backend(text, each))?;

        output.row(0, &[]).copy_from_slice(&totals.map(|total| total as f64));
        for (backend, counts) in &*sums {
            backend.write_labels(texts);
            let labels = texts.each_ref().map(String::as_str);
            output.row(1, &labels).copy_from_slice(&counts.0.map(|count| count as f64));
        }
        Ok(())
    }
}

/// Parses the third line: five hexadecimal numbers.
fn parse_totals(text: &str) -> Option<[u64; COLUMNS.len()]> {
    // The end of the line is missing if the file was truncated.
    let (line, _) = text.splitn(3, '\n').nth(2)?.split_once('\n')?;
    let mut fields = line.split_ascii_whitespace();
    let mut totals = [0; COLUMNS.len()];
    for total in &mut totals {
        *total = u64::from_str_radix(fields.next()?, 16).ok()?;
    }
    fields.next().is_none().then_some(totals)
}

impl Backend {
    /// Returns the backend with only these of [`LABELS`].
    fn with_labels(self, labels: [bool; LABELS.len()]) -> Self {
        let [local_address, local_port, remote_address, remote_port, protocol, local_mark] = labels;
        Self {
            local_address: self.local_address.filter(|_| local_address),
            local_port: self.local_port.filter(|_| local_port),
            remote_address: self.remote_address.filter(|_| remote_address),
            remote_port: self.remote_port.filter(|_| remote_port),
            protocol: self.protocol.filter(|_| protocol),
            local_mark: self.local_mark.filter(|_| local_mark),
        }
    }

    /// Writes the values of [`LABELS`].
    fn write_labels(&self, texts: &mut [String; LABELS.len()]) {
        texts.iter_mut().for_each(String::clear);
        let [local_address, local_port, remote_address, remote_port, protocol, local_mark] = texts;
        // Writing to a string does not fail.
        let write = |text: &mut String, value: Option<&dyn std::fmt::Display>| {
            let _ = value.map(|value| write!(text, "{value}"));
        };
        write(local_address, self.local_address.as_ref().map(|value| value as _));
        write(local_port, self.local_port.as_ref().map(|value| value as _));
        write(remote_address, self.remote_address.as_ref().map(|value| value as _));
        write(remote_port, self.remote_port.as_ref().map(|value| value as _));
        write(protocol, self.protocol.as_ref().map(|value| value as _));
        if let Some(mark) = self.local_mark {
            let _ = write!(local_mark, "{mark:08X}");
        }
    }
}
