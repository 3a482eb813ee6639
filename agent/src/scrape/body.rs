//! The body of a response: its codings, and the parts as they arrive.

use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;

use flate2::write::MultiGzDecoder;
use fleetgauge_common::http_client::failed;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use super::ScrapeError;
use super::error::excerpt;
use super::text::{Format, PageReader, Sink};

/// Content types that are no metrics in a text format. Prometheus parses any other as text.
const OTHER_TYPES: [&str; 4] =
    ["text/html", "application/xhtml+xml", "application/json", "application/vnd.google.protobuf"];
/// Content type of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text";

/// Whether a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
}

/// Returns the format of a page; that of Prometheus if the exporter does not name it.
pub(super) fn format(headers: &HeaderMap) -> Result<Format, ScrapeError> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Format::Prometheus) };
    let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let is = |name: &str| kind.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
    if OTHER_TYPES.iter().any(|other| is(other)) {
        return Err(ScrapeError::ContentType(excerpt(value.as_bytes())));
    }
    Ok(if is(OPENMETRICS) { Format::OpenMetrics } else { Format::Prometheus })
}

/// Returns the coding of a body.
pub(super) fn coding(headers: &HeaderMap) -> Result<Coding, ScrapeError> {
    let mut coding = Coding::Plain;
    for value in headers.get_all(CONTENT_ENCODING) {
        let name = value.as_bytes().trim_ascii().to_ascii_lowercase();
        coding = match &*name {
            b"" | b"identity" => continue,
            b"gzip" | b"x-gzip" if coding == Coding::Plain => Coding::Gzip,
            _ => return Err(ScrapeError::Encoding(excerpt(value.as_bytes()))),
        };
    }
    Ok(coding)
}

/// Parses a page as it arrives, and ends it.
pub(super) async fn read(
    mut body: Incoming,
    coding: Coding,
    reader: &mut PageReader,
    sink: &mut impl Sink,
) -> Result<(), ScrapeError> {
    if coding == Coding::Plain {
        while let Some(part) = next_part(&mut body).await? {
            reader.push(&part, sink)?;
        }
    } else {
        let feed = Feed { reader: &mut *reader, sink: &mut *sink, error: None };
        let mut decoder = MultiGzDecoder::new(feed);
        while let Some(part) = next_part(&mut body).await? {
            let result = decoder.write_all(&part);
            result.map_err(|error| decoder.get_mut().error(&error))?;
        }
        let result = decoder.try_finish();
        result.map_err(|error| decoder.get_mut().error(&error))?;
    }
    reader.finish(sink)
}

/// Returns the next part of a body; `None` at its end. A body that ends early is an error.
async fn next_part(body: &mut Incoming) -> Result<Option<Bytes>, ScrapeError> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        let Some(frame) = frame.transpose().map_err(|error| ScrapeError::from(failed(&error)))?
        else {
            return Ok(None);
        };
        // Trailers are skipped.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

/// Passes decompressed bytes on, in parts: the whole page never exists, and it ends at its limit.
struct Feed<'a, S> {
    reader: &'a mut PageReader,
    sink: &'a mut S,
    error: Option<ScrapeError>,
}

impl<S> Feed<'_, S> {
    /// Returns why the page ended; `error` is that of the decompression.
    fn error(&mut self, error: &io::Error) -> ScrapeError {
        self.error.take().unwrap_or_else(|| ScrapeError::Encoding(format!("gzip: {error}")))
    }
}

impl<S: Sink> Write for Feed<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.reader.push(bytes, self.sink) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.error = Some(error);
                Err(io::Error::other("the page is rejected"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
