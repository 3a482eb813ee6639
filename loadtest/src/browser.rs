//! What a browser asks of the collector: a page, and the stream that keeps it up to date.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::StatusCode;

use crate::scrape::{Encoding, ScrapeError, request};

/// A page that has arrived.
#[derive(Debug, Clone, Copy)]
pub struct PageArrival {
    /// From the start of the connection.
    pub first_byte: Duration,
    /// Length of the body.
    pub bytes: u64,
}

/// What a stream has brought until now.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamCounts {
    /// Events, those without a change included.
    pub events: u64,
    /// Length of the body.
    pub bytes: u64,
}

/// Fetches a page for people, over a new connection.
///
/// # Errors
/// If the status is not 200, or the page does not arrive completely.
pub async fn fetch_page(http: SocketAddr, path: &str) -> Result<PageArrival, ScrapeError> {
    let begun = Instant::now();
    request(http, path, "text/html", Encoding::Plain, async |response| {
        if response.status() != StatusCode::OK {
            return Err(ScrapeError::Status(response.status()));
        }
        let (mut body, mut arrival) = (response.into_body(), None);
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
            arrival.get_or_insert_with(|| begun.elapsed());
        }
        Ok(PageArrival { first_byte: arrival.unwrap_or_else(|| begun.elapsed()), bytes })
    })
    .await
}

/// Reads the stream of a page until the collector ends it, and tells `count` of each piece.
///
/// # Errors
/// If there is no stream, or the connection fails.
pub async fn read_stream(
    http: SocketAddr,
    path: &str,
    mut count: impl FnMut(StreamCounts),
) -> Result<(), ScrapeError> {
    request(http, path, "text/event-stream", Encoding::Plain, async |response| {
        if response.status() != StatusCode::OK {
            return Err(ScrapeError::Status(response.status()));
        }
        let (mut body, mut counts) = (response.into_body(), StreamCounts::default());
        let mut is_line_end = false;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            counts.bytes += data.len() as u64;
            // An empty line ends an event.
            for byte in &*data {
                counts.events += u64::from(is_line_end && *byte == b'\n');
                is_line_end = *byte == b'\n';
            }
            count(counts);
        }
        Ok(())
    })
    .await
}
