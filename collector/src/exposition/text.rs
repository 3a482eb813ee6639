//! Writes a snapshot family by family, in chunks, into whatever takes them.

use fleetgauge_proto::report::is_absent;

use super::Format;
use super::number::write_value;
use super::plan::{SeriesPlan, Source};
use super::snapshot::{CLOSE, Group, Snapshot};

/// Size at which a chunk is handed on, in bytes: a thousand lines, so that a page of any size takes little memory. A chunk is
/// longer than that by less than a line.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Whoever was to take the page is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader is gone")]
pub struct Broken;

/// Takes a page in pieces.
pub trait Sink {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Broken`] if nobody wants the rest.
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Broken>;
}

/// Collects the page.
impl Sink for Vec<u8> {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// How much was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Sample lines.
    pub lines: u64,
    /// Bytes before compression.
    pub bytes: u64,
}

/// Writes every family of the snapshot; neither the end mark of OpenMetrics nor the collector's own metrics.
///
/// # Errors
/// [`Broken`] if the sink is.
pub fn render(snapshot: &Snapshot, format: Format, sink: &mut dyn Sink) -> Result<Counted, Broken> {
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
    fn write_group(&mut self, group: &Group, family: usize, format: Format) -> Result<(), Broken> {
        let all_series = group.schema().plan().family(family);
        for (labels, values) in group.rows() {
            for series in all_series {
                let values = &values[series.offset..series.offset + series.width];
                if !values.iter().copied().any(is_absent) {
                    self.write_series(series, labels, values, format)?;
                }
            }
        }
        Ok(())
    }

    fn write_series(
        &mut self,
        series: &SeriesPlan,
        labels: &str,
        values: &[f64],
        format: Format,
    ) -> Result<(), Broken> {
        for sample in &series.samples {
            self.chunk.extend_from_slice(sample.opening.as_bytes());
            if let Some(closing) = sample.closing.instead(format) {
                self.chunk.extend_from_slice(&labels.as_bytes()[..labels.len() - CLOSE.len()]);
                self.chunk.extend_from_slice(closing.as_bytes());
            } else {
                self.chunk.extend_from_slice(labels.as_bytes());
            }
            match sample.value {
                Source::At(position) => write_value(values[position], &mut self.chunk),
                Source::One => self.chunk.push(b'1'),
            }
            self.chunk.push(b'\n');
            if self.chunk.len() >= CHUNK_BYTES {
                self.flush()?;
            }
        }
        self.counted.lines += series.samples.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Broken> {
        self.counted.bytes += self.chunk.len() as u64;
        self.sink.chunk(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}
