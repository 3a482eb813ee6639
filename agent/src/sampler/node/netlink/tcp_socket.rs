//! TCP sockets: `SOCK_DIAG_BY_FAMILY`.

use super::Connection;
use super::message::u32_at;
use crate::sampler::SourceError;

/// Request for sockets: `SOCK_DIAG_BY_FAMILY`, also the type of the answer.
const SOCKETS_BY_FAMILY: (u16, u16) = (20, 20);
/// Length of `inet_diag_req_v2`, in bytes.
const REQUEST_BYTES: usize = 56;
/// Protocol number of TCP.
const TCP: u8 = 6;
/// The states that are asked for, a bit each: all.
const ALL_STATES: u32 = 0xfff;

/// Address family of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sampler::node) enum Family {
    /// `AF_INET`.
    Ipv4 = 2,
    /// `AF_INET6`.
    Ipv6 = 10,
}

/// A TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sampler::node) struct TcpSocket {
    /// State: 1 is `TCP_ESTABLISHED` and so on.
    pub(in crate::sampler::node) state: u8,
    /// Bytes in the receive queue; connections in the queue of a listening socket.
    pub(in crate::sampler::node) receive_queue: u64,
    /// Bytes in the send queue; length of the queue of a listening socket.
    pub(in crate::sampler::node) send_queue: u64,
}

/// Asks for all TCP sockets of an address family.
///
/// # Errors
/// The kernel does not answer.
pub(in crate::sampler::node) fn dump_tcp_sockets(
    connection: &mut Connection,
    family: Family,
    mut each: impl FnMut(TcpSocket),
) -> Result<(), SourceError> {
    let mut payload = [0; REQUEST_BYTES];
    payload[0] = family as u8;
    payload[1] = TCP;
    payload[4..8].copy_from_slice(&ALL_STATES.to_ne_bytes());
    connection.dump(SOCKETS_BY_FAMILY, &payload, |payload| {
        if let Some(socket) = TcpSocket::parse(payload) {
            each(socket);
        }
    })?;
    Ok(())
}

impl TcpSocket {
    /// Parses `inet_diag_msg`. `None` if it is too short.
    fn parse(payload: &[u8]) -> Option<Self> {
        Some(Self {
            state: *payload.get(1)?,
            receive_queue: u32_at(payload, 56)?.into(),
            send_queue: u32_at(payload, 60)?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_is_parsed() {
        let mut payload = vec![0; 72];
        payload[1] = 10;
        payload[56..60].copy_from_slice(&3_u32.to_ne_bytes());
        payload[60..64].copy_from_slice(&4096_u32.to_ne_bytes());
        let socket = TcpSocket { state: 10, receive_queue: 3, send_queue: 4096 };
        assert_eq!(TcpSocket::parse(&payload), Some(socket));
        assert_eq!(TcpSocket::parse(&payload[..63]), None);
    }
}
