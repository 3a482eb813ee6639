//! Owned copies of the messages, encoded by wincode.
//!
//! They are a second implementation of the encoding that shares only the order of the fields.

use ::wincode::{SchemaRead, SchemaWrite};
use fleetgauge_proto::message::{self, Message};
use fleetgauge_proto::report;
use fleetgauge_proto::{Fingerprint, Limits};

macro_rules! mirror {
    ($($(#[$meta:meta])* struct $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        $($(#[$meta])*
        #[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* })*
    };
}

mirror! {
    struct Label { name: String, value: String }
    struct Extension { id: u16, data: Vec<u8> }
    struct Hello {
        min_version: u8,
        max_version: u8,
        capabilities: u64,
        agent_id: String,
        host_nonce: [u8; 16],
        process_nonce: [u8; 16],
        labels: Vec<Label>,
        interval_ms: u32,
        agent_version: String,
        catalogs: Vec<[u8; 16]>,
        credential: Option<Vec<u8>>,
        extensions: Vec<Extension>,
    }
    struct WelcomeLimits {
        max_payload_bytes: u32,
        max_families: u32,
        max_series: u32,
        max_values: u32,
        max_label_bytes: u32,
    }
    struct Welcome {
        version: u8,
        capabilities: u64,
        session_id: u64,
        interval_ms: u32,
        unix_ms: u64,
        limits: WelcomeLimits,
        catalogs_known: u16,
        extensions: Vec<Extension>,
    }
    struct Family { name: String, kind: u8, unit: String, help: String }
    struct Column {
        family: u32,
        width: u32,
        decimals: u8,
        parameters: Vec<f64>,
        labels: Vec<Label>,
    }
    struct Table { row_labels: Vec<String>, columns: Vec<Column> }
    struct Catalog { stream: u32, slot: u8, families: Vec<Family>, tables: Vec<Table> }
    struct RowChange { slot: u8, table: u32, removed: Vec<u32>, added: Vec<String> }
    struct Rows { stream: u32, changes: Vec<RowChange> }
    struct Report { stream: u32, sequence: u64, unix_ms: u64, values: Values }
    struct Ping { token: u64 }
    struct Pong { token: u64 }
    struct Drain { delay_ms: u32, target: Option<String> }
    struct Reject { stream: u32, code: u16, text: String, retry_after_ms: Option<u32> }
    struct Bye { stream: u32, reason: u8 }
    struct Acknowledge { stream: u32, sequence: u64, unix_ms: u64 }
    struct Resend { stream: u32, first: u64, reports: u32 }
}

/// The values of a report.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub(crate) enum Values {
    All(Vec<u8>),
    Changed { bitmap: Vec<u8>, values: Vec<u8> },
}

/// An owned copy of any message except a skipped frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Owned {
    Hello(Hello),
    Welcome(Welcome),
    Catalog(Catalog),
    Rows(Rows),
    Report(Report),
    Ping(Ping),
    Pong(Pong),
    Drain(Drain),
    Reject(Reject),
    Bye(Bye),
    Acknowledge(Acknowledge),
    Resend(Resend),
}

fn labels(labels: &[Label]) -> Vec<message::Label<'_>> {
    labels.iter().map(|Label { name, value }| message::Label { name, value }).collect()
}

fn extensions(extensions: &[Extension]) -> Vec<message::Extension<'_>> {
    extensions.iter().map(|Extension { id, data }| message::Extension { id: *id, data }).collect()
}

impl Hello {
    fn borrowed(&self) -> message::Hello<'_> {
        message::Hello {
            min_version: self.min_version,
            max_version: self.max_version,
            capabilities: self.capabilities,
            agent_id: &self.agent_id,
            host_nonce: self.host_nonce,
            process_nonce: self.process_nonce,
            labels: labels(&self.labels),
            interval_ms: self.interval_ms,
            agent_version: &self.agent_version,
            catalogs: self.catalogs.iter().copied().map(Fingerprint).collect(),
            credential: self.credential.as_deref().map(message::Secret),
            extensions: extensions(&self.extensions),
        }
    }
}

impl Welcome {
    fn borrowed(&self) -> message::Welcome<'_> {
        message::Welcome {
            version: self.version,
            capabilities: self.capabilities,
            session_id: self.session_id,
            interval_ms: self.interval_ms,
            unix_ms: self.unix_ms,
            limits: Limits {
                max_payload_bytes: self.limits.max_payload_bytes,
                max_families: self.limits.max_families,
                max_series: self.limits.max_series,
                max_values: self.limits.max_values,
                max_label_bytes: self.limits.max_label_bytes,
            },
            catalogs_known: self.catalogs_known,
            extensions: extensions(&self.extensions),
        }
    }
}

impl Family {
    fn borrowed(&self) -> message::Family<'_> {
        let Self { name, kind, unit, help } = self;
        message::Family { name, kind: *kind, unit, help }
    }
}

impl Column {
    fn borrowed(&self) -> message::Column<'_> {
        message::Column {
            family: self.family,
            width: self.width,
            decimals: self.decimals,
            parameters: self.parameters.clone(),
            labels: labels(&self.labels),
        }
    }
}

impl Table {
    fn borrowed(&self) -> message::Table<'_> {
        message::Table {
            row_labels: self.row_labels.iter().map(String::as_str).collect(),
            columns: self.columns.iter().map(Column::borrowed).collect(),
        }
    }
}

impl Catalog {
    fn borrowed(&self) -> message::Catalog<'_> {
        message::Catalog {
            stream: self.stream,
            slot: self.slot,
            families: self.families.iter().map(Family::borrowed).collect(),
            tables: self.tables.iter().map(Table::borrowed).collect(),
        }
    }
}

impl RowChange {
    pub(crate) fn borrowed(&self) -> message::RowChange<'_> {
        message::RowChange {
            slot: self.slot,
            table: self.table,
            removed: self.removed.clone(),
            added: self.added.iter().map(String::as_str).collect(),
        }
    }
}

impl Rows {
    fn borrowed(&self) -> message::Rows<'_> {
        let changes = self.changes.iter().map(RowChange::borrowed).collect();
        message::Rows { stream: self.stream, changes }
    }
}

impl Values {
    pub(crate) fn borrowed(&self) -> report::Values<'_> {
        match self {
            Self::All(values) => report::Values::All(values),
            Self::Changed { bitmap, values } => report::Values::Changed { bitmap, values },
        }
    }
}

impl Report {
    fn borrowed(&self) -> message::Report<'_> {
        let Self { stream, sequence, unix_ms, .. } = *self;
        message::Report { stream, sequence, unix_ms, values: self.values.borrowed() }
    }
}

impl Owned {
    /// Returns the same message as the library's type, which borrows from this one.
    pub(crate) fn borrowed(&self) -> Message<'_> {
        match self {
            Self::Hello(hello) => Message::Hello(hello.borrowed()),
            Self::Welcome(welcome) => Message::Welcome(welcome.borrowed()),
            Self::Catalog(catalog) => Message::Catalog(catalog.borrowed()),
            Self::Rows(rows) => Message::Rows(rows.borrowed()),
            Self::Report(report) => Message::Report(report.borrowed()),
            Self::Ping(Ping { token }) => Message::Ping(message::Ping { token: *token }),
            Self::Pong(Pong { token }) => Message::Pong(message::Pong { token: *token }),
            Self::Drain(Drain { delay_ms, target }) => {
                Message::Drain(message::Drain { delay_ms: *delay_ms, target: target.as_deref() })
            }
            Self::Reject(Reject { stream, code, text, retry_after_ms }) => {
                Message::Reject(message::Reject {
                    stream: *stream,
                    code: *code,
                    text,
                    retry_after_ms: *retry_after_ms,
                })
            }
            Self::Bye(Bye { stream, reason }) => {
                Message::Bye(message::Bye { stream: *stream, reason: *reason })
            }
            Self::Acknowledge(Acknowledge { stream, sequence, unix_ms }) => {
                Message::Acknowledge(message::Acknowledge {
                    stream: *stream,
                    sequence: *sequence,
                    unix_ms: *unix_ms,
                })
            }
            Self::Resend(Resend { stream, first, reports }) => Message::Resend(message::Resend {
                stream: *stream,
                first: *first,
                reports: *reports,
            }),
        }
    }

    /// Returns the frame that the library encodes.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.borrowed().encode(fleetgauge_proto::VERSION, &mut frame).expect("fits a frame");
        frame
    }
}
