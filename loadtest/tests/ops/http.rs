//! A minimal HTTP client: one request per connection, the body read to its end.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Timeout of a response.
pub(crate) const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches a page. `accept` is the Accept header, or empty. Returns the body of a successful
/// response.
pub(crate) fn get(address: &str, path: &str, accept: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
    let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{accept}\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(io::Error::other(format!("{path}: {status}: {body}")))
    }
}

/// Escapes a text for the query of a URL.
pub(crate) fn escape(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte| if safe(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
