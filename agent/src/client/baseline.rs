//! What the collector has of an agent: its rows and values as of the last report.

use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::message::{Catalog, Message, RowChange};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::{RowEdit, TableRows};
use fleetgauge_proto::{Fingerprint, stream};

use super::row_diff::RowDiff;
use super::{Client, ClientError, ReportEncoder, ReportId, Update, put};
use crate::catalogs::{Catalogs, EncodedCatalog, TableLayout};
use crate::profile::Profile;
use crate::tables::Sample;

/// The rows and values of the last report, from which the next one is coded.
///
/// It holds the values of two reports and the encoder's buffers, and shares the rows with the
/// samples. It detects a new session, and then starts without catalogs, rows and values.
///
/// During a session the profile may get other catalogs, but no fewer. The next report then sends
/// those that are new, and their tables start without rows.
///
/// ```
/// # use std::time::Duration;
/// # use fleetgauge_agent::client::{Baseline, Client, ClientError};
/// # use fleetgauge_agent::profile::Profile;
/// # use fleetgauge_agent::tables::Sample;
/// /// Reports the values of an agent without row labels.
/// fn report(
///     client: &mut Client,
///     baseline: &mut Baseline,
///     profile: &Profile,
///     values: Vec<f64>,
///     now: Duration,
///     out: &mut Vec<u8>,
/// ) -> Result<u64, ClientError> {
///     let sample = Sample { rows: profile.catalogs.no_rows(), values };
///     baseline.report(client, profile, &sample, now, out)
/// }
/// ```
#[derive(Debug, Default)]
pub struct Baseline {
    /// The catalogs; `None` before the first report of a session.
    catalogs: Option<Catalogs>,
    /// Rows by table; empty for tables without row labels.
    rows: Vec<Arc<TableRows>>,
    values: Vec<f64>,
    row_counts: Vec<usize>,
    /// Values of the last report at the places of their rows in the next one.
    moved: Vec<f64>,
    encoder: ReportEncoder,
}

impl Baseline {
    /// Appends new catalogs, changes of rows and a report to `out`, and remembers them. Returns the
    /// sequence number of the report.
    ///
    /// `sampled` is the time of the sample on the monotonic clock.
    ///
    /// # Errors
    /// [`ClientError::NoSession`], [`ClientError::WrongTableCount`] or
    /// [`ClientError::WrongValueCount`]; `out` and the baseline are then unchanged.
    pub fn report(
        &mut self,
        client: &mut Client,
        profile: &Profile,
        sample: &Sample,
        sampled: Duration,
        out: &mut Vec<u8>,
    ) -> Result<u64, ClientError> {
        let send = |client: &mut Client, update: Update<'_>, encoder: &mut _, out: &mut _| {
            client.report(profile, Update { sampled, ..update }, encoder, out)
        };
        self.send(client, stream::LIVE, &profile.catalogs, sample, out, send)
    }

    /// Like [`Self::report`], with a stream, a sequence number and a time of the caller. A baseline
    /// belongs to one stream; that of [`stream::REPLAY`] also to one session. On that stream it
    /// sends all catalogs, and there may be fewer than before.
    ///
    /// # Errors
    /// As of [`Self::report`].
    pub fn report_as(
        &mut self,
        client: &mut Client,
        id: ReportId,
        catalogs: &Catalogs,
        sample: &Sample,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let send = |client: &mut Client, update: Update<'_>, encoder: &mut _, out: &mut _| {
            client.report_as(id, catalogs, update, encoder, out)
        };
        self.send(client, id.stream, catalogs, sample, out, send)
    }

    fn send<T>(
        &mut self,
        client: &mut Client,
        stream: u32,
        catalogs: &Catalogs,
        sample: &Sample,
        out: &mut Vec<u8>,
        send: impl FnOnce(
            &mut Client,
            Update<'_>,
            &mut ReportEncoder,
            &mut Vec<u8>,
        ) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let Sample { rows, values } = sample;
        let tables = catalogs.tables();
        check(client, tables, sample)?;
        if client.is_new_session() && stream == stream::LIVE {
            self.catalogs = None;
        }
        self.replace_catalogs(client, stream, catalogs, out);
        let changes = self.move_values(tables, rows);
        let has_changes = !changes.is_empty();
        self.row_counts.clear();
        self.row_counts.extend(tables.iter().zip(rows).map(|(table, rows)| table.row_count(rows)));
        let before = if has_changes { &self.moved } else { &self.values };
        let (row_counts, sampled) = (&*self.row_counts, Duration::ZERO);
        let update = Update { changes, row_counts, before, values, sampled };
        let sent = send(client, update, &mut self.encoder, out)?;
        if has_changes {
            self.rows.clone_from_slice(rows);
        }
        self.values.clear();
        self.values.extend_from_slice(values);
        Ok(sent)
    }

    /// Takes new catalogs. Tables of new catalogs start empty: no rows, or one row of absent
    /// values. In the first report of a session, all catalogs are new.
    fn replace_catalogs(
        &mut self,
        client: &Client,
        stream: u32,
        catalogs: &Catalogs,
        out: &mut Vec<u8>,
    ) {
        let known = self.catalogs.replace(catalogs.clone());
        if known.as_ref() == Some(catalogs) {
            return;
        }
        let known_fingerprints: Vec<_> = known.iter().flat_map(fingerprints).collect();
        let is_known = |(slot, now)| known_fingerprints.get(slot) == Some(&now);
        let is_known: Vec<_> = fingerprints(catalogs).enumerate().map(is_known).collect();
        let new = catalogs.by_slot().iter().zip(&is_known).filter(|(_, is_known)| !**is_known);
        if stream == stream::REPLAY {
            empty_slots(&known_fingerprints, &is_known, out);
            new.for_each(|(catalog, _)| catalog.push_replay_frame(out));
        } else if known.is_some() {
            new.for_each(|(catalog, _)| client.send_catalog(catalog, out));
        }

        let mut end = 0;
        let old = known.iter().flat_map(Catalogs::tables).zip(&self.rows);
        let mut old = old.map(|(table, rows)| {
            let start = end;
            end += table.row_count(rows) * table.width();
            (table.slot(), rows, start..end)
        });
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for table in catalogs.tables() {
            // Old and new tables are both in slot order, so the iterator never goes back.
            let known = is_known[usize::from(table.slot())];
            let old = known.then(|| old.find(|(slot, ..)| *slot == table.slot())).flatten();
            if let Some((_, old_rows, places)) = old {
                rows.push(old_rows.clone());
                values.extend_from_slice(&self.values[places]);
            } else {
                let none = Arc::default();
                values.resize(values.len() + table.row_count(&none) * table.width(), ABSENT);
                rows.push(none);
            }
        }
        (self.rows, self.values) = (rows, values);
    }

    /// Returns the changes from the known rows to these. If there are any, moves the known values
    /// to the places of these rows.
    fn move_values<'a>(
        &mut self,
        tables: &[TableLayout],
        rows: &'a [Arc<TableRows>],
    ) -> Vec<RowChange<'a>> {
        let (mut changes, mut from) = (Vec::new(), 0);
        self.moved.clear();
        for ((table, old), new) in tables.iter().zip(&self.rows).zip(rows) {
            let values = &self.values[from..][..table.row_count(old) * table.width()];
            from += values.len();
            if table.row_labels() == 0 || Arc::ptr_eq(old, new) || old == new {
                self.moved.extend_from_slice(values);
                continue;
            }
            let RowDiff { removed, added, edits } = RowDiff::new(table.row_labels(), old, new);
            move_rows(&edits, values, table.width(), &mut self.moved);
            let (slot, table) = (table.slot(), table.table());
            changes.push(RowChange { slot, table, removed, added });
        }
        changes
    }
}

/// Checks that a session is active, and that a sample fits these tables.
fn check(client: &Client, tables: &[TableLayout], sample: &Sample) -> Result<(), ClientError> {
    if !client.is_welcomed() {
        return Err(ClientError::NoSession);
    }
    let (given, expected) = (sample.rows.len(), tables.len());
    if given != expected {
        return Err(ClientError::WrongTableCount { given, expected });
    }
    let cells = tables.iter().zip(&sample.rows);
    let expected = cells.map(|(table, rows)| table.row_count(rows) * table.width()).sum();
    let given = sample.values.len();
    if given != expected {
        return Err(ClientError::WrongValueCount { given, expected });
    }
    Ok(())
}

/// Appends empty catalogs for slots of stream 1 whose catalogs are replaced or gone. A single slot
/// can be replaced directly. If there are several, a family may have moved from one to another, and
/// two catalogs must not have it at any time.
fn empty_slots(known: &[Fingerprint], is_known: &[bool], out: &mut Vec<u8>) {
    let is_kept = |slot: &usize| is_known.get(*slot) == Some(&true);
    let changed: Vec<_> = (0..known.len()).filter(|slot| !is_kept(slot)).collect();
    if let [only] = *changed
        && only < is_known.len()
    {
        return;
    }
    for slot in changed.into_iter().filter_map(|slot| u8::try_from(slot).ok()) {
        let (families, tables) = (Vec::new(), Vec::new());
        put(&Message::Catalog(Catalog { stream: stream::REPLAY, slot, families, tables }), out);
    }
}

fn fingerprints(catalogs: &Catalogs) -> impl Iterator<Item = Fingerprint> {
    catalogs.by_slot().iter().map(EncodedCatalog::fingerprint)
}

/// Appends the values of a table after its rows changed.
fn move_rows(edits: &[RowEdit], values: &[f64], width: usize, moved: &mut Vec<f64>) {
    for edit in edits {
        match edit {
            RowEdit::Keep(rows) => {
                moved.extend_from_slice(&values[rows.start * width..rows.end * width]);
            }
            RowEdit::Add(rows) => moved.resize(moved.len() + rows * width, ABSENT),
        }
    }
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
