//! A simulated host whose disks and values follow from the number of the report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_agent::tables::Sample;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, Label, RowChange, Table};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;
use fleetgauge_proto::{AgentId, StaticLabels};

use super::super::reporter::Reporter;

/// Time between two reports, in milliseconds.
pub(super) const STEP_MS: i64 = 1_000;
/// Interval that the agent asks for. Three of them without a report would end the session, also on
/// a machine that is busy.
const INTERVAL: Duration = Duration::from_secs(10);
/// Matches all series of a host.
pub(super) const ALL: &str = r#"{__name__=~"engine_.*|fleetgauge_agent_up"}"#;

/// Labels with the name, and all samples as time in unix milliseconds and value.
pub(super) type History = BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>>;

/// A host with a connection to the collector.
pub(super) struct Host {
    id: String,
    number: u32,
    reporter: Reporter,
}

impl Host {
    pub(super) fn connect(number: u32, collector: &str) -> Self {
        let id = format!("host-{number}");
        let reporter = Reporter::connect(profile(&id), collector);
        Self { id, number, reporter }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Sends the report with this number, and adds its samples to what an engine must have.
    pub(super) fn report(&mut self, round: u32, unix_ms: i64, expected: &mut History) {
        let disks = disks(self.number, round);
        let change = RowChange { slot: 0, table: 0, removed: vec![], added: disks.clone() };
        let (rows, _) = TableRows::default().edit(1, &change).unwrap();
        let temperature = temperature(self.number, round);
        let mut values = vec![f64::from(round) + f64::from(self.number) / 8.0, temperature];
        self.expect("engine_load", None, unix_ms, values[0], expected);
        if temperature.to_bits() != ABSENT.to_bits() {
            self.expect("engine_temperature_celsius", None, unix_ms, temperature, expected);
        }
        for (place, disk) in (1..).zip(&disks) {
            let read = f64::from(self.number * 1_000_000 + round * 1_000 + place);
            values.push(read);
            self.expect("engine_read_bytes_total", Some(disk), unix_ms, read, expected);
        }
        self.expect("fleetgauge_agent_up", None, unix_ms, 1.0, expected);
        let rows = vec![Arc::default(), Arc::new(rows)];
        let unix_ms = u64::try_from(unix_ms).unwrap();
        self.reporter.report_at(&Sample { rows, values }, u64::from(round), unix_ms);
    }

    fn expect(
        &self,
        name: &str,
        disk: Option<&str>,
        unix_ms: i64,
        value: f64,
        expected: &mut History,
    ) {
        let labels = [("__name__", name), ("agent", &self.id), ("dc", "fra")];
        let labels = labels.into_iter().chain(disk.map(|disk| ("device", disk)));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        expected.entry(labels).or_default().push((unix_ms, value));
    }
}

/// Disks of a host: sdb comes and goes, also while the engine is down.
fn disks(host: u32, round: u32) -> Vec<&'static str> {
    if (round + host) % 4 < 2 { vec!["sda", "sdb"] } else { vec!["sda"] }
}

/// A temperature, absent in every fifth report, and once infinite.
fn temperature(host: u32, round: u32) -> f64 {
    match (round + host) % 5 {
        0 => ABSENT,
        1 if round > 5 => f64::NEG_INFINITY,
        _ => -12.5 + f64::from(round) / 16.0,
    }
}

fn profile(id: &str) -> Profile {
    let gauge = FamilyKind::Gauge as u8;
    let family = |name, kind, unit, help| Family { name, kind, unit, help };
    let column = |family, decimals| Column {
        family,
        width: 1,
        decimals,
        parameters: vec![],
        labels: vec![],
    };
    let catalog = Catalog {
        stream: 0,
        slot: 0,
        families: vec![
            family("engine_load", gauge, "", "Load of the host."),
            family("engine_temperature_celsius", gauge, "celsius", "Temperature of the host."),
            family("engine_read_bytes", FamilyKind::Counter as u8, "bytes", "Bytes read."),
        ],
        tables: vec![
            Table { row_labels: vec![], columns: vec![column(0, 3), column(1, 1)] },
            Table { row_labels: vec!["device"], columns: vec![column(2, 0)] },
        ],
    };
    Profile {
        id: AgentId::try_new(id).unwrap(),
        nonces: Nonces { host: [1; 16], process: [2; 16] },
        labels: StaticLabels::try_new(&[Label { name: "dc", value: "fra" }]).unwrap(),
        interval: INTERVAL,
        agent_version: "test",
        catalogs: Catalogs::try_new(vec![catalog]).unwrap(),
    }
}
