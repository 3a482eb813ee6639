//! A collector of one agent, for tests.

use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::message::{Message, RowChange, Welcome};
use fleetgauge_proto::report::{ABSENT, TableShape};
use fleetgauge_proto::rows::RowEdit;
use fleetgauge_proto::{Accept, AgentId, FrameBuffer, Limits, StaticLabels, VERSION};

use super::Client;
use crate::catalogs::{Catalogs, TableLayout};
use crate::identity::Nonces;
use crate::profile::Profile;
use crate::tables::Sample;

/// Returns the profile of an agent with these catalogs.
pub(crate) fn profile(catalogs: Catalogs) -> Profile {
    Profile {
        id: AgentId::try_new("web-1").unwrap(),
        nonces: Nonces { host: [1; 16], process: [2; 16] },
        labels: StaticLabels::default(),
        interval: Duration::from_secs(1),
        agent_version: "1",
        catalogs,
    }
}

/// What a collector has of an agent.
#[derive(Debug, Default)]
pub(crate) struct FakeCollector {
    /// Rows and values.
    pub(crate) sample: Sample,
    /// Number of Rows and Report frames.
    pub(crate) frames: (usize, usize),
}

impl FakeCollector {
    /// Begins a session: knows all catalogs, and has no rows and only absent values.
    pub(crate) fn welcome(client: &mut Client, profile: &Profile) -> Self {
        client.start(profile, None, &mut Vec::new());
        let welcome = Message::Welcome(Welcome {
            version: VERSION,
            capabilities: 0,
            session_id: 1,
            interval_ms: 1_000,
            unix_ms: 1_000,
            limits: Limits::default(),
            catalogs_known: u16::MAX,
            extensions: Vec::new(),
        });
        let mut bytes = Vec::new();
        welcome.encode(VERSION, &mut bytes).unwrap();
        client.received(profile, Duration::ZERO, &mut &*bytes, &mut Vec::new()).unwrap();
        let fixed = profile.catalogs.tables().iter().filter(|table| table.row_labels() == 0);
        let values = vec![ABSENT; fixed.map(TableLayout::width).sum()];
        Self { sample: Sample { rows: profile.catalogs.no_rows(), values }, frames: (0, 0) }
    }

    /// Receives Rows and Report frames.
    pub(crate) fn receive(&mut self, catalogs: &Catalogs, mut sent: &[u8]) {
        let accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };
        let mut frames = FrameBuffer::default();
        while let Some(frame) = frames.next(&mut sent, accept).unwrap() {
            match Message::decode(frame).unwrap() {
                Message::Rows(rows) => {
                    self.frames.0 += 1;
                    for change in rows.changes {
                        self.change(catalogs, &change);
                    }
                }
                Message::Report(report) => {
                    self.frames.1 += 1;
                    let tables = catalogs.tables().iter().zip(&self.sample.rows);
                    let shape: Vec<TableShape<'_>> = tables
                        .map(|(table, rows)| (table.row_count(rows), table.decimals()))
                        .collect();
                    report.values.decode(&mut self.sample.values, shape.into_iter()).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn change(&mut self, catalogs: &Catalogs, change: &RowChange<'_>) {
        let tables = catalogs.tables();
        let is_changed =
            |table: &&TableLayout| (table.slot(), table.table()) == (change.slot, change.table);
        let at = tables.iter().position(|table| is_changed(&table)).unwrap();
        let cells = |at: usize| tables[at].row_count(&self.sample.rows[at]) * tables[at].width();
        let from = (0..at).map(cells).sum::<usize>();
        let old = self.sample.values[from..from + cells(at)].to_vec();
        let (rows, edits) = self.sample.rows[at].edit(tables[at].row_labels(), change).unwrap();
        let width = tables[at].width();
        let moved = edits.iter().flat_map(|edit| match edit {
            RowEdit::Keep(rows) => old[rows.start * width..rows.end * width].to_vec(),
            RowEdit::Add(rows) => vec![ABSENT; rows * width],
        });
        let moved: Vec<_> = moved.collect();
        self.sample.values.splice(from..from + old.len(), moved);
        self.sample.rows[at] = Arc::new(rows);
    }
}
