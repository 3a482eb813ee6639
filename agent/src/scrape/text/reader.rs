//! Splits a page that arrives in chunks into lines, and enforces the limits of the page.

use super::metadata::{HashLine, Plain};
use super::scratch::Scratch;
use super::sink::Sink;
use super::tail::Tail;
use super::{Format, PageLimits, Problem, metadata, sample, tail};
use crate::scrape::ScrapeError;
use crate::scrape::error::excerpt;

/// Incremental parser of pages.
///
/// [`push`](Self::push) takes the chunks of a page, and [`finish`](Self::finish) ends it. Memory
/// is reused for the next page, which [`restart`](Self::restart) begins.
#[derive(Debug)]
pub struct PageReader {
    page: Page,
    /// A line whose end has not arrived.
    partial: Vec<u8>,
    /// Number of bytes so far.
    bytes: u64,
    /// The error that ended the page.
    failed: Option<ScrapeError>,
}

impl PageReader {
    /// Creates a reader, ready for a page of this format.
    #[must_use]
    pub fn new(format: Format, limits: PageLimits) -> Self {
        Self { page: Page::new(format, limits), partial: Vec::new(), bytes: 0, failed: None }
    }

    /// Begins the next page. What is left of the page before is dropped.
    pub fn restart(&mut self, format: Format) {
        self.page.restart(format);
        self.partial.clear();
        self.bytes = 0;
        self.failed = None;
    }

    /// Returns the number of samples of the page so far.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.page.samples
    }

    /// Returns the number of bytes of the page so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Parses the next chunk of the page.
    ///
    /// # Errors
    /// The page is invalid, exceeds a limit, or the sink returned an error. The rest of the page
    /// cannot be parsed, and all further calls return the same error.
    pub fn push(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), ScrapeError> {
        self.check()?;
        let result = self.push_within_limit(chunk, sink);
        self.keep_failure(result)
    }

    /// Ends the page.
    ///
    /// # Errors
    /// As [`push`](Self::push), and if the page is incomplete.
    pub fn finish(&mut self, sink: &mut impl Sink) -> Result<(), ScrapeError> {
        self.check()?;
        let result = self.page.end(&self.partial, sink);
        self.partial.clear();
        self.keep_failure(result)
    }

    fn check(&self) -> Result<(), ScrapeError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn keep_failure(&mut self, result: Result<(), ScrapeError>) -> Result<(), ScrapeError> {
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.partial.clear();
        }
        result
    }

    /// The lines before the limit are parsed in any case, so that the result does not depend on
    /// the chunks.
    fn push_within_limit(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), ScrapeError> {
        let max = self.page.limits.max_bytes;
        let allowed = usize::try_from(max.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let within = chunk.get(..allowed).unwrap_or(chunk);
        self.bytes += within.len() as u64;
        self.lines(within, sink)?;
        if within.len() < chunk.len() { Err(ScrapeError::TooLarge { max }) } else { Ok(()) }
    }

    fn lines(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), ScrapeError> {
        let mut rest = chunk;
        while let Some((line, after)) = split_line(rest) {
            rest = after;
            if self.partial.is_empty() {
                self.page.line(line, sink)?;
            } else {
                self.keep_partial(line)?;
                let result = self.page.line(&self.partial, sink);
                self.partial.clear();
                result?;
            }
        }
        self.keep_partial(rest)
    }

    /// Keeps a part of a line.
    fn keep_partial(&mut self, part: &[u8]) -> Result<(), ScrapeError> {
        let max = self.page.limits.max_line_bytes;
        // One byte more than allowed tells the page that the line is too long.
        let room = max.saturating_add(1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(part.get(..room).unwrap_or(part));
        if self.partial.len() > max {
            return Err(self.page.too_long(&self.partial));
        }
        Ok(())
    }
}

/// Splits at the first line feed.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
    Some((line, rest.get(1..).unwrap_or_default()))
}

/// The state of a page between its lines.
#[derive(Debug)]
struct Page {
    format: Format,
    limits: PageLimits,
    /// Number of complete lines.
    lines: u64,
    samples: usize,
    /// Whether `# EOF` of OpenMetrics has been read.
    is_ended: bool,
    scratch: Scratch,
    plain: Plain,
}

/// Why a line fails the page.
enum LineError {
    Bad(Problem),
    Other(ScrapeError),
}

impl From<Problem> for LineError {
    fn from(problem: Problem) -> Self {
        Self::Bad(problem)
    }
}

impl From<ScrapeError> for LineError {
    fn from(error: ScrapeError) -> Self {
        Self::Other(error)
    }
}

impl Page {
    fn new(format: Format, limits: PageLimits) -> Self {
        let (scratch, plain) = (Scratch::default(), Plain::default());
        Self { format, limits, lines: 0, samples: 0, is_ended: false, scratch, plain }
    }

    const fn restart(&mut self, format: Format) {
        self.format = format;
        self.lines = 0;
        self.samples = 0;
        self.is_ended = false;
    }

    /// Parses a complete line.
    fn line(&mut self, line: &[u8], sink: &mut impl Sink) -> Result<(), ScrapeError> {
        if line.len() > self.limits.max_line_bytes {
            return Err(self.too_long(line));
        }
        match self.parse(line, sink) {
            Ok(()) => {
                self.lines += 1;
                Ok(())
            }
            Err(LineError::Bad(problem)) => Err(self.bad_line(line, problem)),
            Err(LineError::Other(error)) => Err(error),
        }
    }

    /// Parses the end of the page, with a last line that may lack its line feed.
    fn end(&mut self, last: &[u8], sink: &mut impl Sink) -> Result<(), ScrapeError> {
        // A line of OpenMetrics is complete only with its line feed, except for the last one.
        let is_openmetrics = self.format == Format::OpenMetrics;
        let is_cut = is_openmetrics && !self.is_ended && last != b"# EOF";
        if !last.is_empty() && !is_cut {
            self.line(last, sink)?;
        }
        if is_cut { Err(ScrapeError::CutOff { lines: self.lines }) } else { Ok(()) }
    }

    fn parse(&mut self, line: &[u8], sink: &mut impl Sink) -> Result<(), LineError> {
        if self.is_ended {
            return Err("follows # EOF".into());
        }
        let line = match self.format {
            Format::Prometheus => trim_blanks(line),
            Format::OpenMetrics => line,
        };
        match line.first() {
            None if self.format == Format::Prometheus => Ok(()),
            None => Err("is empty".into()),
            Some(b'#') => self.hash_line(line, sink),
            Some(_) => self.sample(line, sink),
        }
    }

    fn hash_line(&mut self, line: &[u8], sink: &mut impl Sink) -> Result<(), LineError> {
        match metadata::parse(line, self.format, &self.limits, &mut self.plain)? {
            HashLine::Metadata(metadata) => sink.family(metadata)?,
            HashLine::Comment => {}
            HashLine::End => self.is_ended = true,
        }
        Ok(())
    }

    fn sample(&mut self, line: &[u8], sink: &mut impl Sink) -> Result<(), LineError> {
        self.count_sample()?;
        if let Some(tail) = self.known_tail(line, sink) {
            return Ok(sink.known_sample(tail.value, tail.timestamp)?);
        }
        let sample = sample::parse(line, self.format, &self.limits, &mut self.scratch)?;
        Ok(sink.sample(&sample)?)
    }

    /// Parses a line without its labels if the sink knows the key; `None` if it does not. Also
    /// `None` if the rest is invalid: then the key is only the start of another one, or the line is
    /// invalid, and all errors come from one place.
    fn known_tail(&self, line: &[u8], sink: &mut impl Sink) -> Option<Tail> {
        let rest = line.get(sink.known_key(line)?..)?;
        if !tail::follows_key(rest) {
            return None;
        }
        tail::parse(rest, self.format).ok()
    }

    fn count_sample(&mut self) -> Result<(), ScrapeError> {
        let max = self.limits.max_samples;
        if self.samples >= max {
            return Err(ScrapeError::TooManySamples { max });
        }
        self.samples += 1;
        Ok(())
    }

    fn too_long(&self, line: &[u8]) -> ScrapeError {
        // Cut at the limit, so that the error does not depend on how much has arrived.
        let start = line.get(..self.limits.max_line_bytes).unwrap_or(line);
        self.bad_line(start, "is too long")
    }

    fn bad_line(&self, line: &[u8], problem: Problem) -> ScrapeError {
        ScrapeError::BadLine { line: self.lines + 1, problem, excerpt: excerpt(line) }
    }
}

fn trim_blanks(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
