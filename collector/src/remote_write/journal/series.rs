//! The series of an agent as a journal stores them: labels, rows, and which series had a sample.
//! Catalogs are stored once, and named by numbers.
//!
//! ```text
//! series  = labels (length u32, text), number of catalogs (u8), catalogs, presence
//! catalog = number (u32), for each of its tables with row labels: rows (u32), label values
//! value   = length (u16), text
//! presence = number of words (u32), words (u64): see CellSet
//! ```

use std::sync::Arc;

use fleetgauge_proto::frame::{Accept, VERSION};
use fleetgauge_proto::limits::{MAX_CATALOGS, MAX_PAYLOAD_BYTES};
use fleetgauge_proto::message::{self, Label, RowChange};
use fleetgauge_proto::{AgentId, Catalog, Fingerprint, FrameBuffer, Limits, StaticLabels};

use super::cursor::Cursor;
use crate::exposition::{agent_of, client_no, static_labels, write_labels};
use crate::registry::{CatalogEntry, CatalogPin, Layout, PendingValues, Registry};
use crate::remote_write::encode::CellSet;

/// Series of an agent.
#[derive(Debug, Clone)]
pub(super) struct JournaledSeries {
    /// Labels as written between the braces of the agent's series.
    pub(super) labels: Box<str>,
    /// Catalogs and rows.
    pub(super) layout: Arc<Layout>,
    /// Series that had a sample.
    pub(super) present: CellSet,
}

/// Appends series. `number_of` returns the number of a catalog; `None` if it cannot be stored.
/// Returns `None` if the series cannot be stored.
pub(super) fn encode_series(
    labels: &str,
    layout: &Layout,
    present: &CellSet,
    mut number_of: impl FnMut(&Arc<CatalogEntry>) -> Option<u32>,
    out: &mut Vec<u8>,
) -> Option<()> {
    out.extend_from_slice(&u32::try_from(labels.len()).ok()?.to_le_bytes());
    out.extend_from_slice(labels.as_bytes());
    out.push(u8::try_from(layout.catalogs().count()).ok()?);
    for (entry, tables) in layout.tables() {
        out.extend_from_slice(&number_of(entry)?.to_le_bytes());
        for placed in tables {
            let Some(rows) = placed.rows else { continue };
            out.extend_from_slice(&u32::try_from(rows.len()).ok()?.to_le_bytes());
            for value in rows.iter(placed.table.row_labels.len()).flatten() {
                out.extend_from_slice(&u16::try_from(value.len()).ok()?.to_le_bytes());
                out.extend_from_slice(value.as_bytes());
            }
        }
    }
    out.extend_from_slice(&u32::try_from(present.words().len()).ok()?.to_le_bytes());
    present.words().iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    Some(())
}

/// Decodes the series of an agent, and checks them as those of a session; `None` if they are
/// invalid, or if the registry has no room for catalogs or rows. `catalog` returns the catalog of a
/// number.
pub(super) fn decode_series(
    id: &AgentId,
    series: &[u8],
    registry: &Registry,
    limits: &Limits,
    mut catalog: impl FnMut(u32) -> Option<CatalogPin>,
) -> Option<JournaledSeries> {
    let mut series = Cursor::new(series);
    let length = usize::try_from(series.u32()?).ok()?;
    let labels = checked_labels(id, series.text(length)?)?;
    let catalogs = usize::from(series.u8()?);
    if catalogs > MAX_CATALOGS {
        return None;
    }
    let mut pending = PendingValues::empty();
    let mut changes = Vec::new();
    for slot in 0..catalogs {
        let pin = catalog(series.u32()?)?;
        let entry = Arc::clone(pin.entry());
        registry.set_catalog(&mut pending, slot, pin).ok()?;
        let tables = entry.catalog().tables.iter().enumerate();
        for (table, declared) in tables.filter(|(_, table)| !table.row_labels.is_empty()) {
            let added = label_values(&mut series, declared.row_labels.len())?;
            if !added.is_empty() {
                let (slot, table) = (u8::try_from(slot).ok()?, u32::try_from(table).ok()?);
                changes.push(RowChange { slot, table, removed: Vec::new(), added });
            }
        }
    }
    let words = series.count(size_of::<u64>())?;
    let words = (0..words).map(|_| series.u64()).collect::<Option<Box<[_]>>>()?;
    series.end()?;
    pending.check_catalogs(limits).ok()?;
    registry.change_rows(&mut pending, &changes, limits).ok()?;
    let layout = Arc::new(pending.layout().clone());
    let present = CellSet::from_words(&layout, words)?;
    Some(JournaledSeries { labels, layout, present })
}

/// Reads the label values of a table's rows.
fn label_values<'a>(series: &mut Cursor<'a>, labels: usize) -> Option<Vec<&'a str>> {
    let rows = series.count(labels.checked_mul(size_of::<u16>())?)?;
    let mut values = Vec::with_capacity(rows * labels);
    for _ in 0..rows * labels {
        let length = usize::from(series.u16()?);
        values.push(series.text(length)?);
    }
    Some(values)
}

/// Returns rendered labels if they are valid ones of this agent.
fn checked_labels(id: &AgentId, labels: &str) -> Option<Box<str>> {
    let own: Vec<_> = static_labels(labels).collect();
    let own: Vec<_> = own.iter().map(|(name, value)| Label { name, value }).collect();
    let own = StaticLabels::try_new(&own).ok()?;
    let rendered = write_labels(id, &own, client_no(labels));
    (agent_of(labels) == id.as_str() && *rendered == *labels).then_some(rendered)
}

/// Encodes a catalog as a frame; `None` if it is too large.
pub(super) fn encode_catalog(catalog: &Catalog) -> Option<Vec<u8>> {
    let families = catalog.families.iter().map(|family| message::Family {
        name: &family.name,
        // 0 is no type, as is one of a later version.
        kind: family.kind.map_or(0, |kind| kind as u8),
        unit: &family.unit,
        help: &family.help,
    });
    let tables = catalog.tables.iter().map(|table| {
        let columns = table.columns.iter().map(|column| {
            let label = |(name, value)| Label { name, value };
            Some(message::Column {
                family: u32::try_from(column.family).ok()?,
                width: u32::try_from(column.width).ok()?,
                decimals: column.decimals,
                parameters: column.parameters.to_vec(),
                labels: column.labels.iter().map(label).collect(),
            })
        });
        let row_labels = table.row_labels.iter().map(|name| &**name).collect();
        Some(message::Table { row_labels, columns: columns.collect::<Option<_>>()? })
    });
    let (families, tables) = (families.collect(), tables.collect::<Option<_>>()?);
    let message = message::Catalog { stream: 0, slot: 0, families, tables };
    fleetgauge_proto::catalog::encode(&message).ok().map(|(frame, _)| frame)
}

/// Decodes a catalog, checks it as that of a session, and adds it to the registry.
pub(super) fn decode_catalog(
    mut frame: &[u8],
    registry: &Registry,
    limits: &Limits,
) -> Option<CatalogPin> {
    let accept = Accept { version: VERSION, max_payload_bytes: MAX_PAYLOAD_BYTES };
    let mut buffer = FrameBuffer::default();
    let read = buffer.next(&mut frame, accept).ok()??;
    let fingerprint = Fingerprint::of_payload(read.payload).ok()?;
    if let Some(known) = registry.catalogs().find(&fingerprint) {
        return Some(known);
    }
    let (_, catalog) = Catalog::try_from_frame(read, limits).ok()?;
    registry.catalogs().intern(fingerprint, catalog, read.payload.len()).ok()
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
