//! HTTP client that keeps its connection and counts all bytes above TCP.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Timeout of a response.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of a response or chunk, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<CountingReader>,
    host: String,
    sent: u64,
}

#[derive(Debug)]
struct CountingReader {
    stream: TcpStream,
    received: u64,
}

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.stream.read(buffer)?;
        self.received += len as u64;
        Ok(len)
    }
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        let stream = BufReader::new(CountingReader { stream, received: 0 });
        Ok(Self { stream, host: address.to_string(), sent: 0 })
    }

    /// Bytes sent and received so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sent + self.stream.get_ref().received
    }

    /// Fetches a page. Returns its body as received, compressed or not.
    ///
    /// # Errors
    /// If the connection fails or the status is not 200.
    pub fn get(&mut self, path: &str, gzip: bool) -> io::Result<Vec<u8>> {
        let encoding = if gzip { "gzip" } else { "identity" };
        let host = &self.host;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: {encoding}\r\n\r\n");
        self.stream.get_mut().stream.write_all(request.as_bytes())?;
        self.sent += request.len() as u64;
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(parse(value, 10)?);
            }
        }
        let body = match length {
            Some(length) => self.bytes_of_length(length)?,
            None => self.chunks()?,
        };
        let is_ok = status.split(' ').nth(1) == Some("200");
        is_ok.then_some(body).ok_or_else(|| io::Error::other(format!("GET {path}: {status}")))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if (&mut self.stream).take(MAX_BYTES).read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes_of_length(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let read = (&mut self.stream).take(length).read_to_end(&mut body)?;
        if read as u64 == length { Ok(body) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let chunk = self.bytes_of_length(parse(&line, 16)?)?;
            // A line end follows each chunk, and the last one, which is empty.
            self.line()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }
}

fn parse(text: &str, radix: u32) -> io::Result<u64> {
    let length = u64::from_str_radix(text.trim(), radix).map_err(io::Error::other)?;
    let is_sane = length <= MAX_BYTES;
    is_sane.then_some(length).ok_or_else(|| io::Error::other(format!("a body of {length} bytes")))
}
