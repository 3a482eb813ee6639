//! Renders a snapshot in chunks, family by family.

use fleetgauge_proto::report::is_absent;

use super::Format;
use super::number::write_value;
use super::plan::{FamilyPlan, SeriesPlan};
use super::snapshot::{CLOSE, Group, Snapshot};

/// Chunk size in bytes: about a thousand lines, so that rendering takes little memory. A chunk can
/// exceed it by less than one line.
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

/// Renders all families of a snapshot. Writes neither the end mark of OpenMetrics nor the
/// collector's own metrics.
///
/// # Errors
/// [`Disconnected`] if the receiver of the chunks is gone.
pub fn render(
    snapshot: &Snapshot,
    format: Format,
    sink: &mut dyn Sink,
) -> Result<Counted, Disconnected> {
    let mut page =
        Page { chunk: Vec::with_capacity(CHUNK_BYTES + 4096), sink, counted: Counted::default() };
    for family in &snapshot.families {
        page.chunk.extend_from_slice(family.head.lines(format).as_bytes());
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
}

impl Page<'_> {
    fn write_group(
        &mut self,
        group: &Group,
        family: usize,
        format: Format,
    ) -> Result<(), Disconnected> {
        let family = group.schema().plan().family(family);
        for (labels, values) in group.rows() {
            for series in &family.series {
                let values = &values[series.offset..series.offset + series.width];
                if !values.iter().copied().any(is_absent) {
                    self.write_series(family, series, labels, values, format)?;
                }
            }
        }
        Ok(())
    }

    fn write_series(
        &mut self,
        family: &FamilyPlan,
        series: &SeriesPlan,
        labels: &str,
        values: &[f64],
        format: Format,
    ) -> Result<(), Disconnected> {
        if let Some(parameters) = series.parameters(format) {
            for (parameter, value) in parameters.iter().zip(values) {
                self.write(&family.parameter);
                self.write(open(labels));
                self.write(open(&series.labels));
                self.write(parameter);
                self.end_line(*value)?;
                self.counted.lines += 1;
            }
        }
        // The last values of a series, such as count and sum, have no bound or quantile.
        let plain = &values[values.len() - family.plain.len()..];
        for (opening, value) in family.plain.iter().zip(plain) {
            self.write(opening);
            if series.labels.is_empty() {
                self.write(labels);
            } else {
                self.write(open(labels));
                self.write(&series.labels);
            }
            self.end_line(if family.is_info { 1.0 } else { *value })?;
        }
        self.counted.lines += plain.len() as u64;
        Ok(())
    }

    fn write(&mut self, text: &str) {
        self.chunk.extend_from_slice(text.as_bytes());
    }

    fn end_line(&mut self, value: f64) -> Result<(), Disconnected> {
        write_value(value, &mut self.chunk);
        self.chunk.push(b'\n');
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Disconnected> {
        self.counted.bytes += self.chunk.len() as u64;
        self.sink.chunk(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

/// Strips [`CLOSE`] from an agent's labels, so that other labels can follow.
fn open(labels: &str) -> &str {
    labels.strip_suffix(CLOSE).unwrap_or(labels)
}
