//! A fleet of hosts with the tables of a host profile.

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::{AgentId, StaticLabels, Violation};

use super::fleet_model::{ChangedRows, FleetModel, ReportValues, TracedFleet};
use crate::host_profile::HostModel;
use crate::host_profile::layout::HostLayout;
use crate::host_profile::rows::Row;
use crate::host_profile::tables::{TABLES, catalogs};
use crate::worker_protocol::WorkerConfig;

/// A fleet whose hosts have the series of a profile other than `basic`. Ids and static labels are
/// those of a [`TracedFleet`].
#[derive(Debug)]
pub struct NodeFleet {
    traced: TracedFleet,
    model: HostModel,
    layout: HostLayout,
    catalogs: Catalogs,
}

impl NodeFleet {
    /// Creates the fleet of a worker.
    ///
    /// # Errors
    /// Only if a compiled-in name is invalid.
    pub fn new(config: &WorkerConfig) -> Result<Self, Violation> {
        let (traced, model) = (TracedFleet::new(config)?, config.hosts);
        Ok(Self { traced, model, layout: HostLayout::new(model.profile), catalogs: catalogs()? })
    }

    /// Writes a table of a report. `before` is the sequence number of the report before it; `None`
    /// in the first report of a session.
    fn write_table(
        &self,
        host: u32,
        table: usize,
        before: Option<u64>,
        now: u64,
        out: &mut ReportValues,
    ) {
        let spec = &TABLES[table];
        let mut changed = ChangedRows { table: table as u32, ..ChangedRows::default() };
        let (mut old_position, mut count) = (0, 0);
        for number in 0..self.layout.rows()[table] {
            let row_at = |sequence| self.model.churn.row_at(host, table, number, sequence);
            let (old, new) = (before.and_then(row_at), row_at(now));
            if old.is_some() && old != new {
                changed.removed.push(old_position);
            }
            old_position += u32::from(old.is_some());
            let Some(row) = new else { continue };
            if old != new {
                spec.push_row(host, row, &mut changed.added);
            }
            count += 1;
            self.write_row(host, table, row, before.filter(|_| old == new), now, out);
        }
        out.row_counts.push(count);
        if !(changed.removed.is_empty() && changed.added.is_empty()) {
            out.changed.push(changed);
        }
    }

    fn write_row(
        &self,
        host: u32,
        table: usize,
        row: Row,
        before: Option<u64>,
        now: u64,
        out: &mut ReportValues,
    ) {
        for place in self.layout.row(table, row.number) {
            let cell = place.cell(host, row.generation);
            out.before.push(before.map_or(ABSENT, |before| cell.value(before)));
            out.values.push(cell.value(now));
        }
    }
}

impl FleetModel for NodeFleet {
    fn id(&self, agent: u32) -> AgentId {
        self.traced.id(agent)
    }

    fn labels(&self, agent: u32) -> StaticLabels {
        self.traced.labels(agent)
    }

    fn catalogs(&self) -> Catalogs {
        self.catalogs.clone()
    }

    fn write_values(
        &mut self,
        agent: u32,
        sequence: u64,
        before: Option<u64>,
        out: &mut ReportValues,
    ) {
        let host = self.traced.encoded_agent(agent);
        out.clear();
        for table in 0..TABLES.len() {
            self.write_table(host, table, before, sequence, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fleetgauge_agent::client::{Client, Event, ReportEncoder, Update};
    use fleetgauge_agent::identity::Nonces;
    use fleetgauge_agent::profile::Profile;
    use fleetgauge_proto::limits::MAX_PAYLOAD_BYTES;
    use fleetgauge_proto::message::Welcome;
    use fleetgauge_proto::rows::TableRows;
    use fleetgauge_proto::{Accept, FrameBuffer, Limits, Message, VERSION};

    use super::*;
    use crate::agent_range::AgentRange;
    use crate::host_profile::HostProfile;
    use crate::worker_protocol::BackoffPolicy;

    fn config(hosts: HostModel) -> WorkerConfig {
        let agents = AgentRange { first: 0, count: 10 };
        let nowhere = ([127, 0, 0, 1], 1).into();
        WorkerConfig {
            agents,
            visible: agents,
            first_encoded_agent: 0,
            labels: 2,
            hosts,
            collector: nowhere,
            http: nowhere,
            collector_pid: None,
            interval_ms: 15_000,
            seed: 1,
            batch_ms: 1,
            reports_per_ping: 1,
            late_ms: 1_000,
            tolerance_ms: 0,
            backoff: BackoffPolicy::Quick,
            tls: None,
            keeps_log: false,
            backlog_reports: 0,
        }
    }

    /// A session of one agent of the fleet, without a collector.
    struct Session {
        fleet: NodeFleet,
        profile: Profile,
        client: Client,
    }

    impl Session {
        const AGENT: u32 = 3;

        /// Starts a session with this percentage of row churn per second.
        fn start(profile: HostProfile, churn: f64) -> Self {
            let interval = Duration::from_secs(15);
            let hosts = HostModel::try_new(profile, churn, interval).unwrap();
            let fleet = NodeFleet::new(&config(hosts)).unwrap();
            let profile = Profile {
                id: fleet.id(Self::AGENT),
                nonces: Nonces { host: [1; 16], process: [1; 16] },
                labels: fleet.labels(Self::AGENT),
                interval: Duration::from_secs(15),
                agent_version: "test",
                catalogs: fleet.catalogs(),
            };
            let (mut client, mut out) = (Client::default(), Vec::new());
            client.start(&profile, None, &mut out);
            let welcome = Message::Welcome(Welcome {
                version: VERSION,
                capabilities: 0,
                session_id: 1,
                interval_ms: 15_000,
                unix_ms: 1_767_225_600_000,
                limits: Limits::default(),
                catalogs_known: 1,
                extensions: Vec::new(),
            });
            let mut input = Vec::new();
            welcome.encode(VERSION, &mut input).unwrap();
            let event = client.received(&profile, Duration::ZERO, &mut &input[..], &mut out);
            assert!(matches!(event, Ok(Some(Event::Welcomed { .. }))), "{event:?}");
            Self { fleet, profile, client }
        }

        /// Returns the bytes of the next report.
        fn report(&mut self) -> Vec<u8> {
            let (mut report, mut out) = (ReportValues::default(), Vec::new());
            let (sequence, is_first) = (self.client.sequence() + 1, self.client.is_new_session());
            let before = (!is_first).then(|| sequence - 1);
            self.fleet.write_values(Self::AGENT, sequence, before, &mut report);
            let update = Update {
                changes: report.changes(),
                row_counts: &report.row_counts,
                before: &report.before,
                values: &report.values,
                sampled: Duration::ZERO,
            };
            let encoder = &mut ReportEncoder::default();
            self.client.report(&self.profile, update, encoder, &mut out).unwrap();
            out
        }
    }

    #[test]
    fn first_report_of_a_session_adds_all_rows() {
        for host in [HostProfile::Node, HostProfile::NodeLarge] {
            let sent = Session::start(host, 0.0).report();
            let accept = Accept { version: VERSION, max_payload_bytes: MAX_PAYLOAD_BYTES };
            let mut frames = FrameBuffer::default();
            let rows = frames.next(&mut &sent[..], accept).unwrap().unwrap();
            let Ok(Message::Rows(rows)) = Message::decode(rows) else { panic!("{rows:?}") };
            let counts = host.row_counts();
            let mut added = [0; TABLES.len()];
            for change in &rows.changes {
                let table = change.table as usize;
                let labels = TABLES[table].row_labels.len();
                let (rows, _) = TableRows::default().edit(labels, change).unwrap();
                added[table] = rows.len() as u32;
            }
            // The table without row labels has its row from the start.
            added[0] = 1;
            assert_eq!(added, counts);
        }
    }

    /// Applies the rows of a report to the former ones.
    fn apply(rows: &mut [TableRows; TABLES.len()], sent: &[u8]) {
        let accept = Accept { version: VERSION, max_payload_bytes: MAX_PAYLOAD_BYTES };
        let (mut frames, mut input) = (FrameBuffer::default(), sent);
        while let Some(frame) = frames.next(&mut input, accept).unwrap() {
            let Ok(Message::Rows(changed)) = Message::decode(frame) else { continue };
            for change in &changed.changes {
                let table = change.table as usize;
                let labels = TABLES[table].row_labels.len();
                rows[table] = rows[table].edit(labels, change).unwrap().0;
            }
        }
    }

    #[test]
    fn rows_of_every_report_are_those_of_its_sequence_number() {
        let mut session = Session::start(HostProfile::Node, 0.4);
        let (mut rows, mut changes) = (<[TableRows; TABLES.len()]>::default(), 0);
        for sequence in 1..=100 {
            let before = rows.clone();
            apply(&mut rows, &session.report());
            changes += usize::from(before != rows);
            for (table, spec) in TABLES.iter().enumerate().skip(1) {
                let mut expected = Vec::new();
                for row in session.fleet.model.rows(Session::AGENT, table, sequence) {
                    spec.push_row(Session::AGENT, row, &mut expected);
                }
                let shown: Vec<_> = rows[table].iter(spec.row_labels.len()).flatten().collect();
                assert_eq!(shown, expected, "{} in report {sequence}", spec.name);
            }
        }
        assert!(changes > 50, "{changes}");
    }

    #[test]
    fn later_report_takes_at_most_a_byte_for_each_series() {
        let mut session = Session::start(HostProfile::Node, 0.0);
        session.report();
        for _ in 0..100 {
            let bytes = session.report().len();
            assert!(bytes <= HostProfile::Node.series(), "{bytes}");
        }
    }
}
