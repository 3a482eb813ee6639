//! A collector without sockets, for tests of the journal.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use fleetgauge_proto::message::{Family, RowChange, Table};
use fleetgauge_proto::{AgentId, Catalog, Limits};
use prometheus_client::registry::Registry as MetricsRegistry;
use tempfile::{NamedTempFile, TempDir};

use super::Journal;
use super::writer::{HEARTBEAT_AFTER, JournalWriter};
use crate::config::{Config, Flags};
use crate::exposition::agent_of;
use crate::registry::PendingValues;
use crate::remote_write::ReportTime;
use crate::remote_write::encode::tests::fixture::{catalog, column, family, labels_of};
use crate::remote_write::forwarder::Forwarder;
use crate::remote_write::session::ForwardedSession;
use crate::state::CollectorState;

/// Time of the first report, in unix milliseconds.
pub(super) const START: u64 = 1_800_000_000_000;
/// Return time of the tests' agents.
pub(super) const RETURN: Duration = Duration::from_secs(30);
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// A collector whose clock the test moves.
pub(super) struct Fleet {
    pub(super) collector: Arc<CollectorState>,
    pub(super) writer: JournalWriter,
}

/// Stale markers of an agent: its id, their time, and the number of series.
pub(super) type Marked = (String, i64, usize);

impl Fleet {
    pub(super) fn start(directory: &TempDir, unix_ms: u64) -> Self {
        Self::with_size(directory, unix_ms, "64MiB")
    }

    pub(super) fn with_size(directory: &TempDir, unix_ms: u64, size: &str) -> Self {
        let collector = collector(directory, size);
        collector.clock.set_time_of_day(UNIX_EPOCH + Duration::from_millis(unix_ms));
        let writer = JournalWriter::open(&collector).unwrap();
        Self { collector, writer }
    }

    pub(super) fn forwarder(&self) -> &Forwarder {
        self.collector.forwarder.as_ref().unwrap()
    }

    pub(super) fn journal(&self) -> &Journal {
        self.forwarder().journal.as_ref().unwrap()
    }

    /// Begins a session of an agent and forwards a report with two series for each device, and
    /// `fleetgauge_agent_up`.
    pub(super) fn report(&self, id: &str, devices: &[&str], unix_ms: u64) {
        self.report_values(id, devices, &[1.0, 2.0], unix_ms);
    }

    pub(super) fn report_values(&self, id: &str, devices: &[&str], values: &[f64], unix_ms: u64) {
        let families = [family("used", 1), family("size", 1)];
        self.report_families(id, &families, devices, values, unix_ms);
    }

    /// Reports two families.
    pub(super) fn report_families(
        &self,
        id: &str,
        families: &[Family<'static>; 2],
        devices: &[&str],
        values: &[f64],
        unix_ms: u64,
    ) {
        let registry = &self.collector.registry;
        let columns = vec![column(0, 0, &[]), column(1, 0, &[])];
        let table = Table { row_labels: vec!["device"], columns };
        let declared = catalog(0, families, vec![table]);
        let valid = Catalog::try_new(&declared, &Limits::default()).unwrap();
        let (_, fingerprint) = fleetgauge_proto::catalog::encode(&declared).unwrap();
        let pin = registry.catalogs().intern(fingerprint, valid, 10).unwrap();
        let mut pending = PendingValues::empty();
        registry.set_catalog(&mut pending, 0, pin).unwrap();
        let added = RowChange { slot: 0, table: 0, removed: vec![], added: devices.to_vec() };
        registry.change_rows(&mut pending, &[added], &Limits::default()).unwrap();
        let layout = Arc::new(pending.layout().clone());
        let values: Vec<_> = values.iter().copied().cycle().take(layout.cells()).collect();
        let mut session = self.enter(id, 1);
        let time = ReportTime { sequence: 1, unix_ms, now_ms: unix_ms };
        let labels = labels_of(id, &[("dc", "fra")]);
        self.forwarder().replayed(&mut session, &labels, &layout, &values, time);
    }

    /// Begins a session whose first live report has a sequence number. The log begins with 1, so no
    /// destination is given a later one until the agent has sent those before it.
    pub(super) fn enter(&self, id: &str, first: u64) -> ForwardedSession {
        self.forwarder().enter(&agent_id(id), 5_000, Some(1), first)
    }

    /// Marks agents that are due, as the tick of remote write does. Returns the markers queued.
    pub(super) fn markers_after(&self, time: Duration) -> Vec<Marked> {
        self.collector.clock.advance(time);
        self.forwarder().mark_not_returned(&self.collector);
        self.queued_markers()
    }

    pub(super) fn queued_markers(&self) -> Vec<Marked> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut markers = Vec::new();
        for lane in self.forwarder().destinations().iter().flat_map(|own| own.lanes()) {
            lane.stop();
            while let Some(batch) = runtime.block_on(lane.next_batch()) {
                let entries = batch.entries.iter().filter(|entry| entry.is_markers());
                markers.extend(entries.map(|entry| {
                    (agent_of(&entry.labels).to_owned(), entry.unix_ms, entry.samples(true))
                }));
            }
        }
        markers.sort();
        markers
    }

    /// Writes changes and a heartbeat, as after [`HEARTBEAT`].
    pub(super) fn beat(&mut self) {
        self.collector.clock.advance(HEARTBEAT_AFTER);
        self.writer.write();
    }

    pub(super) fn errors(&self) -> u64 {
        self.collector.telemetry.metrics.state_errors.get()
    }
}

pub(super) fn agent_id(id: &str) -> AgentId {
    AgentId::try_new(id).unwrap()
}

pub(super) fn collector(directory: &TempDir, size: &str) -> Arc<CollectorState> {
    let settings = NamedTempFile::new().unwrap();
    let table = "[[remote_write]]\nname = \"engine\"\nurl = \"http://127.0.0.1:9/\"\nlanes = 2\n";
    std::fs::write(settings.path(), table).unwrap();
    let flags = Flags::default()
        .with("config", settings.path().to_str().unwrap())
        .with("state_dir", directory.path().to_str().unwrap())
        .with("journal_size", size);
    let config = Config::try_new(flags).unwrap();
    Arc::new(CollectorState::new(config, &mut MetricsRegistry::default()))
}

pub(super) fn names(directory: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn marked(id: &str, unix_ms: u64, series: usize) -> Marked {
    (id.to_owned(), i64::try_from(unix_ms).unwrap(), series)
}
