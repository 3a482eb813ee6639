//! Writes a page into an [`Output`]: a sample becomes a sample that was found, of the same name.

use fleetgauge_proto::catalog::FamilyKind;

use super::ScrapeError;
use super::relabel::Relabel;
use super::sample_order::{SampleOrder, What};
use super::text::{Kind, Metadata, Sample, Sink};
use crate::tables::{FoundFamily, Output};

/// What is kept of a page until the next one.
#[derive(Debug, Default)]
pub(super) struct PageMemory {
    order: SampleOrder,
    family: PageFamily,
    /// What the last sample that was recognized becomes.
    known: Option<What>,
    left_out: LeftOut,
}

/// The samples of a page that are left out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Their number.
    pub(super) samples: usize,
    /// Why the first one is; empty if no page had any.
    pub(super) cause: &'static str,
}

/// The family that the lines of metadata before a sample are about.
#[derive(Debug, Default)]
struct PageFamily {
    name: String,
    help: String,
    kind: Option<Kind>,
}

impl PageMemory {
    /// Begins a page. Its samples go to `output`, which the caller has begun.
    pub(super) fn begin<'a>(
        &'a mut self,
        relabel: &'a Relabel,
        output: &'a mut Output,
    ) -> PageSink<'a> {
        self.order.begin(output);
        self.family.rename("");
        self.left_out.samples = 0;
        PageSink { memory: self, relabel, output }
    }

    /// Ends a page.
    pub(super) fn finish(&mut self) {
        self.order.finish();
    }

    /// Forgets the last page. Required if a page or the output was not finished.
    pub(super) fn clear(&mut self) {
        self.order.clear();
    }

    /// Returns whether a page that begins now could repeat the samples of the last one.
    pub(super) fn continues(&self, output: &Output) -> bool {
        self.order.continues(output)
    }

    /// Returns what the last page has that the protocol cannot carry.
    pub(super) const fn left_out(&self) -> &LeftOut {
        &self.left_out
    }
}

/// Receiver of a page.
pub(super) struct PageSink<'a> {
    memory: &'a mut PageMemory,
    relabel: &'a Relabel,
    output: &'a mut Output,
}

impl Sink for PageSink<'_> {
    fn family(&mut self, metadata: Metadata<'_>) -> Result<(), ScrapeError> {
        let PageMemory { order, family, .. } = &mut *self.memory;
        // Metadata is compared too: a new help text or type needs new families.
        match metadata {
            Metadata::Help { name, text } => {
                family.rename(name);
                text.clone_into(&mut family.help);
                order.add(name.as_bytes(), What::HelpName, self.output);
                order.add(text.as_bytes(), What::Help, self.output);
            }
            Metadata::Type { name, kind } => {
                family.rename(name);
                family.kind = Some(kind);
                order.add(name.as_bytes(), What::Type(kind), self.output);
            }
            Metadata::Unit { .. } => {}
        }
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), ScrapeError> {
        let PageMemory { order, family, left_out, .. } = &mut *self.memory;
        match self.relabel.labels(sample) {
            Ok(labels) => {
                if order.add(sample.key, What::Sample, self.output) {
                    self.output.repeat(sample.value);
                    return Ok(());
                }
                let labels: Vec<_> = labels.iter().map(|(name, value)| (&**name, *value)).collect();
                self.output.sample(family.of(sample.name), &labels, sample.value);
            }
            Err(cause) => {
                order.add(sample.key, What::LeftOut, self.output);
                left_out.add(cause);
            }
        }
        Ok(())
    }

    fn known_key(&mut self, line: &[u8]) -> Option<usize> {
        let (len, what) = self.memory.order.known_sample(line, self.output)?;
        self.memory.known = Some(what);
        Some(len)
    }

    fn known_sample(&mut self, value: f64, _: Option<i64>) -> Result<(), ScrapeError> {
        self.memory.order.advance();
        match self.memory.known.take() {
            Some(What::Sample) => {
                self.output.repeat(value);
            }
            _ => self.memory.left_out.samples += 1,
        }
        Ok(())
    }
}

impl LeftOut {
    fn add(&mut self, cause: &'static str) {
        self.samples += 1;
        if self.samples == 1 {
            self.cause = cause;
        }
    }
}

impl PageFamily {
    /// Begins a family, unless it is the same.
    fn rename(&mut self, name: &str) {
        if self.name != name {
            name.clone_into(&mut self.name);
            self.help.clear();
            self.kind = None;
        }
    }

    /// Returns the family of a sample: its own name, and the type and help text of the page's
    /// family that it belongs to.
    fn of<'a>(&'a self, sample: &'a str) -> FoundFamily<'a> {
        let suffix = sample.strip_prefix(&*self.name);
        let kind = match (self.kind, suffix) {
            (_, None) => None,
            (None, Some(suffix)) => suffix.is_empty().then_some(FamilyKind::Unknown),
            (Some(kind), Some(suffix)) => kind_of(kind, suffix),
        };
        match kind {
            Some(kind) => FoundFamily { name: sample, kind, help: &self.help },
            None => FoundFamily { name: sample, kind: FamilyKind::Unknown, help: "" },
        }
    }
}

/// Returns the type of a sample, by the type of its family and the suffix of its name; `None` if
/// the family has no such sample.
fn kind_of(kind: Kind, suffix: &str) -> Option<FamilyKind> {
    use FamilyKind::{CounterAsNamed, Gauge, Unknown};
    Some(match (kind, suffix) {
        (Kind::Counter, "" | "_total")
        | (Kind::Histogram, "_bucket" | "_count" | "_sum")
        | (Kind::Summary, "_count" | "_sum") => CounterAsNamed,
        // The time at which a counter began.
        (Kind::Counter | Kind::Histogram | Kind::Summary, "_created")
        // Quantiles.
        | (Kind::Summary, "")
        | (Kind::Gauge | Kind::StateSet | Kind::Info, "")
        | (Kind::Info, "_info")
        | (Kind::GaugeHistogram, "_bucket" | "_gcount" | "_gsum") => Gauge,
        (Kind::Unknown, "") => Unknown,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "page_sink_tests.rs"]
mod tests;
