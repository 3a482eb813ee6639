//! Renders a snapshot in chunks, family by family.

use fleetgauge_proto::catalog::Table;
use fleetgauge_proto::report::is_absent;

use super::Format;
use super::number::write_value;
use super::own_families::OwnFamilies;
use super::plan::{ColumnPlan, FamilyPlan};
use super::snapshot::{Group, Snapshot, TableCopy, pieces};

/// Chunk size in bytes: about a thousand lines, so that rendering takes little memory. A chunk can
/// exceed it by less than one line and the metadata of one family.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The receiver of the chunks is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has disconnected")]
pub struct Disconnected;

/// A receiver of chunks.
pub trait Sink {
    /// Takes the next chunk.
    ///
    /// # Errors
    /// [`Disconnected`] if the receiver is gone.
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected>;
}

/// Appends the chunks, so that the whole page is in memory.
impl Sink for Vec<u8> {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// The size of a rendered page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Number of sample lines.
    pub lines: u64,
    /// Number of bytes before compression.
    pub bytes: u64,
}

/// Renders all families of a snapshot that have samples. Writes neither the end mark of OpenMetrics
/// nor the collector's own metrics.
///
/// # Errors
/// [`Disconnected`] if the receiver of the chunks is gone.
pub fn render(
    snapshot: &Snapshot,
    format: Format,
    sink: &mut dyn Sink,
) -> Result<Counted, Disconnected> {
    render_with(snapshot, &mut OwnFamilies::default(), format, sink)
}

/// Like [`render`], but writes the collector's own families that agents have as well, and removes
/// them from `own`.
pub(crate) fn render_with(
    snapshot: &Snapshot,
    own: &mut OwnFamilies<'_>,
    format: Format,
    sink: &mut dyn Sink,
) -> Result<Counted, Disconnected> {
    let (chunk, counted) = (Vec::with_capacity(CHUNK_BYTES + 4096), Counted::default());
    let mut page = Page { chunk, sink, counted, head: None };
    for family in &snapshot.families {
        let head = family.lines(format);
        page.head = match own.take_like(head) {
            Some(own) => {
                page.write(own);
                page.flush_if_full()?;
                None
            }
            None => Some(head),
        };
        for &(group, position) in &family.members {
            page.write_group(&snapshot.groups[group], position, format)?;
        }
    }
    page.flush()?;
    Ok(page.counted)
}

struct Page<'a> {
    chunk: Vec<u8>,
    sink: &'a mut dyn Sink,
    counted: Counted,
    /// Metadata lines of the current family, before its first sample is written. An agent declares
    /// hundreds of families, and its host has samples of half of them.
    head: Option<&'a str>,
}

impl Page<'_> {
    fn write_group(
        &mut self,
        group: &Group,
        family: usize,
        format: Format,
    ) -> Result<(), Disconnected> {
        let mut renamed = String::new();
        let family = group.catalog().plan().family(family);
        for column in &family.columns {
            let table = group.table(column.table);
            let declared = &group.catalog().catalog().tables[column.table];
            let lines = Lines { family, column, table, format };
            let taken = if group.has_renames() { label_names(declared, column) } else { vec![] };
            if declared.row_labels.is_empty() {
                for agent in (0..group.agents()).filter(|agent| !lines.is_absent(*agent)) {
                    let labels = group.labels(agent).renamed(&taken, &mut renamed);
                    self.write_lines(&lines, agent, labels, "")?;
                }
                continue;
            }
            let mut texts = pieces(&table.texts, &table.text_lens).enumerate();
            for &(agent, rows) in &table.rows {
                let own = texts.by_ref().take(rows);
                let mut present = own.filter(|(row, _)| !lines.is_absent(*row)).peekable();
                if present.peek().is_none() {
                    continue;
                }
                let labels = group.labels(agent).renamed(&taken, &mut renamed);
                for (row, text) in present {
                    self.write_lines(&lines, row, labels, text)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the lines of a column in one row. `agent` are the labels of the agent, `own` those of
    /// the row.
    fn write_lines(
        &mut self,
        lines: &Lines<'_>,
        row: usize,
        agent: &str,
        own: &str,
    ) -> Result<(), Disconnected> {
        if let Some(head) = self.head.take() {
            self.write(head);
        }
        let Lines { family, column, format, .. } = lines;
        let values = lines.values();
        if let Some(parameters) = column.parameters(*format) {
            for (parameter, values) in parameters.iter().zip(values) {
                self.write(&family.parameter);
                self.write(agent);
                self.write(&column.labels);
                self.write(own);
                self.write(parameter);
                self.end_line(values[row])?;
            }
            self.counted.lines += parameters.iter().count() as u64;
        }
        // The last values of a series, such as count and sum, have no bound or quantile.
        let plain = &values[values.len() - family.plain.len()..];
        for (opening, values) in family.plain.iter().zip(plain) {
            self.write(opening);
            self.write(agent);
            self.write(&column.labels);
            self.write(own);
            self.end_line(if family.is_info { 1.0 } else { values[row] })?;
        }
        self.counted.lines += plain.len() as u64;
        Ok(())
    }

    fn write(&mut self, text: &str) {
        self.chunk.extend_from_slice(text.as_bytes());
    }

    fn end_line(&mut self, value: f64) -> Result<(), Disconnected> {
        self.chunk.extend_from_slice(b"} ");
        write_value(value, &mut self.chunk);
        self.chunk.push(b'\n');
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<(), Disconnected> {
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Disconnected> {
        self.counted.bytes += self.chunk.len() as u64;
        self.sink.chunk(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

/// The lines of one column.
struct Lines<'a> {
    family: &'a FamilyPlan,
    column: &'a ColumnPlan,
    table: &'a TableCopy,
    format: Format,
}

impl Lines<'_> {
    /// For each value of the column in a row: its values in all rows.
    fn values(&self) -> &[Vec<f64>] {
        &self.table.columns[self.column.offset..self.column.offset + self.column.width]
    }

    /// Whether the series of this row has no sample.
    fn is_absent(&self, row: usize) -> bool {
        self.values().iter().any(|values| is_absent(values[row]))
    }
}

/// Returns the names of the labels that series of a column can have, sorted.
fn label_names<'a>(table: &'a Table, column: &ColumnPlan) -> Vec<&'a str> {
    let own = table.columns.binary_search_by_key(&column.offset, |column| column.offset);
    let own = own.ok().into_iter().flat_map(|at| table.columns[at].labels.iter());
    let names = table.row_labels.iter().map(|name| &**name);
    let mut names: Vec<_> = names.chain(own.map(|(name, _)| name)).collect();
    names.sort_unstable();
    names
}
