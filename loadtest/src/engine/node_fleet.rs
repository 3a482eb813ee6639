//! A fleet of hosts with the tables of a host profile.

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::{AgentId, StaticLabels, Violation};

use super::fleet_model::{AddedRows, FleetModel, ReportValues, TracedFleet};
use crate::host_profile::HostProfile;
use crate::host_profile::cell::Cell;
use crate::host_profile::tables::{TABLES, catalogs};
use crate::worker_protocol::WorkerConfig;

/// A fleet whose hosts have the series of a profile other than `basic`. Ids and static labels are
/// those of a [`TracedFleet`].
#[derive(Debug)]
pub struct NodeFleet {
    traced: TracedFleet,
    rows: [u32; TABLES.len()],
    catalogs: Catalogs,
}

impl NodeFleet {
    /// Creates the fleet of a worker.
    ///
    /// # Errors
    /// Only if a compiled-in name is invalid.
    pub fn new(config: &WorkerConfig, profile: HostProfile) -> Result<Self, Violation> {
        let traced = TracedFleet::new(config)?;
        Ok(Self { traced, rows: profile.row_counts(), catalogs: catalogs()? })
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

    fn write_values(&mut self, agent: u32, sequence: u64, is_first: bool, out: &mut ReportValues) {
        let agent = self.traced.encoded_agent(agent);
        out.clear();
        for (at, (table, rows)) in TABLES.iter().zip(self.rows).enumerate() {
            out.row_counts.push(rows as usize);
            for (row, column) in
                (0..rows).flat_map(|row| (0..table.columns()).map(move |column| (row, column)))
            {
                let cell = Cell::new(agent, at, row, column, table.decimals(column));
                out.before.push(if is_first { ABSENT } else { cell.value(sequence - 1) });
                out.values.push(cell.value(sequence));
            }
            if is_first && rows > 0 && !table.row_labels.is_empty() {
                let mut added = AddedRows { table: at as u32, texts: Vec::new() };
                (0..rows).for_each(|row| table.push_row(agent, row, &mut added.texts));
                out.added.push(added);
            }
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
    use crate::worker_protocol::BackoffPolicy;

    fn config() -> WorkerConfig {
        let agents = AgentRange { first: 0, count: 10 };
        let nowhere = ([127, 0, 0, 1], 1).into();
        WorkerConfig {
            agents,
            visible: agents,
            first_encoded_agent: 0,
            labels: 2,
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

        fn start(host: HostProfile) -> Self {
            let fleet = NodeFleet::new(&config(), host).unwrap();
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
            self.fleet.write_values(Self::AGENT, sequence, is_first, &mut report);
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
            let sent = Session::start(host).report();
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

    #[test]
    fn later_report_takes_at_most_a_byte_for_each_series() {
        let mut session = Session::start(HostProfile::Node);
        session.report();
        for _ in 0..100 {
            let bytes = session.report().len();
            assert!(bytes <= HostProfile::Node.series(), "{bytes}");
        }
    }
}
