//! Requests of remote write over HTTP/1.1: a minimal client, and a server with a handler.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of a request's body, in bytes: more than the collector sends.
const MAX_BODY: usize = 64 << 20;

/// A request, as far as these tests need it.
pub(super) struct Request {
    /// Content-Encoding.
    pub(super) encoding: String,
    pub(super) body: Vec<u8>,
}

/// Sends a request with a body that is compressed with snappy. Returns the HTTP status.
pub(super) fn post(address: &str, path: &str, body: &[u8]) -> io::Result<u16> {
    post_as(address, path, body, "snappy")
}

/// Sends a request with a body of this encoding. Returns the HTTP status.
pub(super) fn post_as(address: &str, path: &str, body: &[u8], encoding: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Encoding: {encoding}\r\nContent-Type: application/x-protobuf\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other(format!("no HTTP status: {answer}")))
}

/// Serves requests on a free port, with a thread for each connection, as long as the test program
/// runs. The handler returns the HTTP status. Returns host and port.
pub(super) fn serve(handler: impl Fn(&Request) -> u16 + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let handler = handler.clone();
            std::thread::spawn(move || answer_all(&stream, handler));
        }
    });
    address
}

/// Answers requests until the client closes the connection.
fn answer_all(mut stream: &TcpStream, handler: impl Fn(&Request) -> u16) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let status = handler(&request);
        write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// Reads a request. Returns `None` at the end of the connection.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let (mut length, mut encoding, mut line) = (0, String::new(), String::new());
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(": ").unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            "content-encoding" => value.clone_into(&mut encoding),
            _ => {}
        }
    }
    assert!(length <= MAX_BODY, "a body of {length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { encoding, body }))
}
