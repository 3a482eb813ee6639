//! A PROXY header yields the documented origin or is refused, and no byte after it is read.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use fleetgauge_collector::admission::proxy_protocol::{self, MAX_HEADER_BYTES, Origin};

/// Reads a header from bytes that are all available at once.
pub fn check(data: &[u8]) {
    let mut rest = data;
    let read = {
        let reading = pin!(proxy_protocol::read(&mut rest));
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read,
            Poll::Pending => panic!("all bytes are available, but the reader waits"),
        }
    };
    let used = data.len() - rest.len();
    assert!(used <= MAX_HEADER_BYTES);
    let expected = documented(data);
    assert_eq!(read.as_ref().ok(), expected.as_ref().map(|(origin, _)| origin), "{read:?}");
    if let Some((_, len)) = expected {
        assert_eq!(used, len, "bytes after the header belong to the agent");
    }
}

/// Returns the origin and the length of a PROXY protocol version 2 header; `None` if it is
/// incomplete or must be refused.
fn documented(data: &[u8]) -> Option<(Origin, usize)> {
    let rest = data.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n")?;
    let [version_and_command, family, high, low, rest @ ..] = rest else { return None };
    let len = usize::from(*high) * 256 + usize::from(*low);
    let rest = rest.get(..len).filter(|_| 16 + len <= MAX_HEADER_BYTES)?;
    let local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return None,
    };
    // Source address, destination address, source port, destination port; big-endian.
    let source = |address: IpAddr, port: usize| {
        let port = rest.get(port..port + 2)?;
        let port = u16::from(port[0]) << 8 | u16::from(port[1]);
        Some(Origin::Peer(SocketAddr::new(address.to_canonical(), port)))
    };
    let origin = match family {
        _ if local => Origin::Balancer,
        0x11 => source(IpAddr::from(<[u8; 4]>::try_from(rest.get(..4)?).ok()?), 8)
            .filter(|_| rest.len() >= 12)?,
        0x21 => source(IpAddr::from(<[u8; 16]>::try_from(rest.get(..16)?).ok()?), 32)
            .filter(|_| rest.len() >= 36)?,
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Origin::Balancer,
        _ => return None,
    };
    Some((origin, 16 + len))
}
