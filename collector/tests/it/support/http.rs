//! An HTTP client that shows the response as received, and whether it ended properly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::TEST_TIMEOUT;

/// A response, possibly incomplete.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Headers; names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body was chunked.
    pub(crate) chunked: bool,
    /// Whether the body is complete according to the headers.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Sends a request and reads until the connection ends.
pub(crate) fn request(http: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Answer {
    let mut stream = send(http, method, path, headers);
    let mut bytes = Vec::new();
    // A connection that breaks gives an incomplete response.
    let _ = stream.read_to_end(&mut bytes);
    parse(&bytes, method == "HEAD")
}

/// Sends a request without reading the response.
pub(crate) fn send(http: SocketAddr, method: &str, path: &str, headers: &[&str]) -> TcpStream {
    let mut stream = TcpStream::connect(http).unwrap();
    write(&mut stream, method, path, headers);
    stream
}

pub(crate) fn write(stream: &mut TcpStream, method: &str, path: &str, headers: &[&str]) {
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
}

pub(crate) fn parse(bytes: &[u8], headless: bool) -> Answer {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no head in {} bytes: {:?}", bytes.len(), String::from_utf8_lossy(bytes))
    });
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let rest = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, v)| v.clone());
    let chunked = header("transfer-encoding").is_some_and(|coding| coding == "chunked");
    let (body, whole) = if headless {
        (rest.to_vec(), rest.is_empty())
    } else if chunked {
        unchunk(rest)
    } else {
        // 204 has neither body nor length.
        let length = header("content-length").or((status == 204).then(|| "0".to_owned()));
        let length: usize = length.unwrap().parse().unwrap();
        (rest.to_vec(), rest.len() == length)
    };
    Answer { status, headers, body, chunked, whole }
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|w| w == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            return (body, rest == b"\r\n");
        }
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return (body, false);
        }
        rest = &rest[size + 2..];
    }
}
