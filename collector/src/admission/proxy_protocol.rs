//! PROXY protocol version 2: the header in which a load balancer sends the client's address.
//!
//! The header is accepted only from the load balancers in the settings. Its extensions are ignored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Signature of a version 2 header.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Size of the fixed part of a header: signature, version and command, family and transport,
/// length.
const HEAD_BYTES: usize = 16;
/// Maximum header size in bytes, extensions included: the default TCP segment size of IPv4, so that
/// a header fits into one segment.
pub const MAX_HEADER_BYTES: usize = 536;

/// Origin of a connection, as stated by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The load balancer itself (for example a health check), or a client without a TCP address.
    Balancer,
    /// A client at this address.
    Peer(SocketAddr),
}

/// Why a header is invalid.
#[derive(Debug, thiserror::Error)]
pub enum BadHeader {
    /// No data: a port probe.
    #[error("no data received")]
    Nothing,
    /// The header is truncated, or the connection failed.
    #[error("truncated PROXY header: {0}")]
    Io(#[from] std::io::Error),
    /// The data is not a PROXY protocol version 2 header.
    #[error("not a PROXY protocol version 2 header; check send-proxy-v2 in the load balancer")]
    Other,
    /// The header is too long.
    #[error("the PROXY header has {0} bytes, over the maximum of {MAX_HEADER_BYTES}")]
    TooLong(usize),
}

/// Reads a header from the start of a connection, and no byte beyond it.
///
/// # Errors
/// [`BadHeader`]
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Origin, BadHeader> {
    let mut head = [0; HEAD_BYTES];
    let begun = from.read(&mut head).await.unwrap_or(0);
    if begun == 0 {
        return Err(BadHeader::Nothing);
    }
    from.read_exact(&mut head[begun..]).await?;
    let [.., command, family, high, low] = head;
    if head[..SIGNATURE.len()] != SIGNATURE || !matches!(command, 0x20 | 0x21) {
        return Err(BadHeader::Other);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let mut rest = [0; MAX_HEADER_BYTES - HEAD_BYTES];
    let Some(rest) = rest.get_mut(..length) else {
        return Err(BadHeader::TooLong(HEAD_BYTES + length));
    };
    from.read_exact(rest).await?;
    if command == 0x20 {
        return Ok(Origin::Balancer);
    }
    origin(family, rest).ok_or(BadHeader::Other)
}

/// Decodes the origin from the `family` byte (address family and transport) and the bytes after the
/// length. Returns `None` if they are invalid.
fn origin(family: u8, rest: &[u8]) -> Option<Origin> {
    let peer = |address: IpAddr, port: &[u8; 2]| {
        Origin::Peer(SocketAddr::new(address.to_canonical(), u16::from_be_bytes(*port)))
    };
    match family {
        // TCP: source and destination addresses, then ports.
        0x11 => {
            let address: [u8; 4] = *rest.first_chunk()?;
            Some(peer(Ipv4Addr::from(address).into(), rest.get(8..12)?.first_chunk()?))
        }
        0x21 => {
            let address: [u8; 16] = *rest.first_chunk()?;
            Some(peer(Ipv6Addr::from(address).into(), rest.get(32..36)?.first_chunk()?))
        }
        // Valid headers that name no TCP client: unknown, UDP, Unix sockets.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Some(Origin::Balancer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0xc8, 0x01, 0xb2, 0x6e];

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// Reads a header from these bytes. Returns the origin and the number of unread bytes.
    fn read_from(bytes: &[u8]) -> (Result<Origin, String>, usize) {
        let mut input = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read(&mut input));
        (read.map_err(|bad| bad.to_string()), input.len())
    }

    fn origin_of(bytes: &[u8]) -> Option<Origin> {
        read_from(bytes).0.ok()
    }

    fn peer(address: &str) -> Option<Origin> {
        Some(Origin::Peer(address.parse().unwrap()))
    }

    #[test]
    fn header_yields_the_client_address_and_leaves_the_payload_unread() {
        let mut bytes = header(0x21, 0x11, &V4);
        assert_eq!(origin_of(&bytes), peer("192.0.2.7:51201"));
        bytes.extend(b"FG");
        assert_eq!(read_from(&bytes).1, 2);
        let v6 = |address: &str| {
            let octets = address.parse::<Ipv6Addr>().unwrap().octets();
            header(0x21, 0x21, &[&octets[..], &[9; 16], &[0, 80, 1, 1]].concat())
        };
        assert_eq!(origin_of(&v6("2001:db8::7")), peer("[2001:db8::7]:80"));
        assert_eq!(origin_of(&v6("::ffff:192.0.2.7")), peer("192.0.2.7:80"));
    }

    #[test]
    fn extensions_are_ignored_up_to_the_maximum_header_size() {
        let with = |bytes| [&V4[..], &vec![0x04; bytes]].concat();
        let longest = MAX_HEADER_BYTES - HEAD_BYTES - V4.len();
        assert_eq!(origin_of(&header(0x21, 0x11, &with(longest))), peer("192.0.2.7:51201"));
        let (read, left) = read_from(&header(0x21, 0x11, &with(longest + 1)));
        assert!(read.unwrap_err().contains("537 bytes"));
        assert_eq!(left, longest + 1 + V4.len(), "a header that is too long is not read");
    }

    #[test]
    fn local_and_non_tcp_headers_yield_the_balancer() {
        for bytes in [
            header(0x20, 0x00, &[]),
            header(0x20, 0x11, &V4),
            header(0x20, 0xff, &[0; 100]),
            header(0x21, 0x00, &[]),
            header(0x21, 0x12, &V4),
            header(0x21, 0x31, &[0; 216]),
        ] {
            assert_eq!(origin_of(&bytes), Some(Origin::Balancer), "{bytes:?}");
        }
    }

    #[test]
    fn invalid_and_truncated_headers_are_rejected() {
        let whole = header(0x21, 0x11, &V4);
        assert_eq!(read_from(&[]).0.unwrap_err(), "no data received");
        for cut in 1..whole.len() {
            assert_eq!(origin_of(&whole[..cut]), None, "first {cut} bytes");
        }
        for index in 0..14 {
            let mut wrong = whole.clone();
            wrong[index] ^= 0x40;
            assert_eq!(origin_of(&wrong), None, "byte {index} flipped");
        }
        for bytes in [
            header(0x11, 0x11, &V4),
            header(0x22, 0x11, &V4),
            header(0x21, 0x11, &V4[..11]),
            header(0x21, 0x21, &[0; 35]),
            header(0x21, 0x41, &V4),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 51201 45678\r\n".to_vec(),
            b"FG\x01\x01\x40\x00\x00\x00and then the rest of a Hello".to_vec(),
        ] {
            assert_eq!(origin_of(&bytes), None, "{bytes:?}");
        }
    }
}
