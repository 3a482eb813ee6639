//! A collector of one agent, for tests.

use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::message::{Message, RowChange, Welcome};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::{RowEdit, TableRows};
use fleetgauge_proto::{
    Accept, AgentId, Catalog, Frame, FrameBuffer, Kind, Limits, StaticLabels, Streams, VERSION,
    catalog, stream,
};

use super::Client;
use crate::catalogs::Catalogs;
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

/// A collector of one agent.
#[derive(Debug, Default)]
pub(crate) struct FakeCollector {
    /// Received bytes of an incomplete frame.
    received: FrameBuffer,
    /// Tables by slot.
    slots: Vec<Vec<FakeTable>>,
    /// Number of Catalog, Rows and Report frames.
    pub(crate) frames: [usize; 3],
    /// Sequence numbers and times of the reports.
    pub(crate) reports: Vec<(u64, u64)>,
    /// First sequence number of the log that Hello announced.
    pub(crate) log: Option<u64>,
    /// Names of the families of stream 1, by slot.
    families: Vec<Vec<Box<str>>>,
    /// What was received on stream 1.
    pub(crate) replay: Option<Box<Self>>,
}

#[derive(Debug)]
struct FakeTable {
    labels: usize,
    decimals: Box<[u8]>,
    rows: TableRows,
    values: Vec<f64>,
}

impl FakeCollector {
    /// Begins a session: knows all catalogs.
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
        let mut collector = Self::default();
        for catalog in profile.catalogs.by_slot() {
            collector.receive(catalog.frame());
        }
        Self { frames: [0; 3], ..collector }
    }

    /// Returns the rows and values.
    pub(crate) fn sample(&self) -> Sample {
        let tables = || self.slots.iter().flatten();
        Sample {
            rows: tables().map(|table| Arc::new(table.rows.clone())).collect(),
            values: tables().flat_map(|table| table.values.clone()).collect(),
        }
    }

    /// Receives bytes of Hello, Catalog, Rows and Report frames.
    pub(crate) fn receive(&mut self, mut sent: &[u8]) {
        let accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };
        let mut received = std::mem::take(&mut self.received);
        while let Some(frame) = received.next(&mut sent, accept).unwrap() {
            let is_of_a_stream =
                matches!(frame.header.kind, Kind::Catalog | Kind::Rows | Kind::Report);
            let replayed = is_of_a_stream
                && Streams::LiveAndReplay.of_payload(frame.payload) == Ok(stream::REPLAY);
            let own = if replayed { self.replay.get_or_insert_default() } else { &mut *self };
            own.apply(frame);
        }
        self.received = received;
    }

    fn apply(&mut self, frame: Frame<'_>) {
        let streams = Streams::LiveAndReplay;
        match Message::decode_with(frame, streams).unwrap() {
            Message::Catalog(_) => {
                self.frames[0] += 1;
                let (slot, catalog) =
                    Catalog::try_from_frame_with(frame, &Limits::default(), streams).unwrap();
                self.slots.resize_with(self.slots.len().max(slot + 1), Vec::new);
                if streams.of_payload(frame.payload) == Ok(stream::REPLAY) {
                    self.declare(slot, &catalog);
                }
                self.slots[slot] = catalog.tables.iter().map(FakeTable::new).collect();
            }
            Message::Rows(rows) => {
                self.frames[1] += 1;
                for change in rows.changes {
                    let slot = &mut self.slots[usize::from(change.slot)];
                    slot[change.table as usize].change(&change);
                }
            }
            Message::Report(report) => {
                self.frames[2] += 1;
                self.reports.push((report.sequence, report.unix_ms));
                let mut cells = self.sample().values;
                let tables = || self.slots.iter().flatten();
                let shape = tables().map(|table| (table.row_count(), &*table.decimals));
                report.values.decode(&mut cells, shape).unwrap();
                let mut cells = cells.into_iter();
                for table in self.slots.iter_mut().flatten() {
                    table.values.fill_with(|| cells.next().unwrap());
                }
            }
            Message::Hello(hello) => self.log = hello.log(),
            other => panic!("{other:?}"),
        }
    }
}

impl FakeCollector {
    /// Checks that no two catalogs have the same family at any time.
    fn declare(&mut self, slot: usize, catalog: &Catalog) {
        self.families.resize_with(self.slots.len(), Vec::new);
        let names = catalog.families.iter().map(|family| family.name.clone());
        self.families[slot] = names.collect();
        let mut names: Vec<_> = self.families.iter().flatten().collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "two catalogs have a family");
    }
}

impl FakeTable {
    fn new(declared: &catalog::Table) -> Self {
        let (labels, rows) = (declared.row_labels.len(), TableRows::default());
        let decimals =
            declared.columns.iter().flat_map(|column| vec![column.decimals; column.width]);
        let decimals = decimals.collect();
        let mut table = Self { labels, decimals, rows, values: Vec::new() };
        table.values = vec![ABSENT; table.row_count() * declared.width];
        table
    }

    fn row_count(&self) -> usize {
        if self.labels == 0 { 1 } else { self.rows.len() }
    }

    fn change(&mut self, change: &RowChange<'_>) {
        let (rows, edits) = self.rows.edit(self.labels, change).unwrap();
        let width = self.decimals.len();
        let moved = edits.iter().flat_map(|edit| match edit {
            RowEdit::Keep(rows) => self.values[rows.start * width..rows.end * width].to_vec(),
            RowEdit::Add(rows) => vec![ABSENT; rows * width],
        });
        self.values = moved.collect();
        self.rows = rows;
    }
}
