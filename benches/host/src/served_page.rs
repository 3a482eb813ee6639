//! The page of an exporter, and a server for it on loopback.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Number of series on the page.
pub const SERIES: usize = 1_000;
/// One in this many series changes from page to page.
pub const CHANGED_SHARE: u64 = 3;

/// Counters with a label: families, and series of each.
const COUNTERS: [usize; 2] = [40, 10];
/// Gauges without labels.
const GAUGES: usize = 200;
/// Histograms with a label, and their finite buckets. Each has three more series.
const HISTOGRAMS: [usize; 2] = [20, 17];
/// Maximum size of the head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Starts an exporter that serves its page with or without gzip until the process ends. Returns its
/// address.
///
/// # Errors
/// If no port or thread is available.
pub fn serve(gzip: bool) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let pages = Arc::new(AtomicU64::new(0));
    thread::Builder::new().spawn(move || {
        for stream in listener.incoming().flatten() {
            let pages = Arc::clone(&pages);
            // A client that disconnects is no failure.
            thread::spawn(move || drop(answer(stream, &pages, gzip)));
        }
    })?;
    Ok(address)
}

/// Answers the requests of a connection until it is closed.
fn answer(mut stream: TcpStream, pages: &AtomicU64, gzip: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        if !read_request(&mut stream)? {
            return Ok(());
        }
        let text = page(pages.fetch_add(1, Ordering::Relaxed));
        let (encoding, body) = if gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text.as_bytes())?;
            ("Content-Encoding: gzip\r\n", encoder.finish()?)
        } else {
            ("", text.into_bytes())
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n{encoding}\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), &body].concat())?;
    }
}

/// Reads a request without a body. Returns `false` if the client has closed the connection.
fn read_request(stream: &mut TcpStream) -> io::Result<bool> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer)?;
        if read == 0 || head.len() > MAX_HEAD_BYTES {
            return Ok(false);
        }
        head.extend_from_slice(&buffer[..read]);
    }
    Ok(true)
}

/// Returns the page with this number, in the text format.
fn page(number: u64) -> String {
    let mut page = Page { text: String::new(), number, series: 0 };
    let [families, devices] = COUNTERS;
    for family in 0..families {
        let name = format!("exporter_requests_{family}_total");
        page.family(&name, "counter");
        for device in 0..devices {
            let labels = format!("{{database=\"orders-{device}\",mode=\"primary\"}}");
            page.sample(&name, &labels);
        }
    }
    for gauge in 0..GAUGES {
        let name = format!("exporter_buffer_{gauge}_bytes");
        page.family(&name, "gauge");
        page.sample(&name, "");
    }
    let [histograms, buckets] = HISTOGRAMS;
    for histogram in 0..histograms {
        let name = format!("exporter_latency_{histogram}_seconds");
        page.family(&name, "histogram");
        for bucket in 1..=buckets {
            page.sample(&format!("{name}_bucket"), &format!("{{le=\"{bucket}\"}}"));
        }
        page.sample(&format!("{name}_bucket"), "{le=\"+Inf\"}");
        page.sample(&format!("{name}_sum"), "");
        page.sample(&format!("{name}_count"), "");
    }
    page.text
}

/// A page that is being written.
struct Page {
    text: String,
    number: u64,
    series: u64,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {name} What it is.\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str) {
        let changes = if self.series.is_multiple_of(CHANGED_SHARE) { self.number } else { 0 };
        let value = self.series * 1_000 + changes;
        self.series += 1;
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_its_series_and_a_share_of_them_changes() {
        let (first, second) = (page(0), page(1));
        let samples = |page: &str| {
            page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        let (first, second): (Vec<_>, Vec<_>) = (samples(&first), samples(&second));
        assert_eq!(first.len(), SERIES);
        let changed = first.iter().zip(&second).filter(|(before, after)| before != after).count();
        assert_eq!(changed, SERIES.div_ceil(CHANGED_SHARE as usize));
    }
}
