//! The socket of netlink.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, send,
    socket_with,
};

use super::dump::{DumpError, read_dump};
use super::message::dump_request;
use crate::sampler::SourceError;

/// Size of the receive buffer, in bytes: the longest datagram that the kernel makes for a dump.
const BUFFER_BYTES: usize = 32 * 1024;
/// Maximum time between two datagrams, and for sending a request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the kernel. It is opened when it is used, and again after an error.
#[derive(Debug)]
pub(in crate::sampler::node) struct Connection {
    /// `None`: `NETLINK_ROUTE`.
    protocol: Option<Protocol>,
    socket: Option<OwnedFd>,
    buffer: Box<[u8]>,
    sequence: u32,
}

impl Connection {
    /// Creates a connection for links and neighbours.
    pub(in crate::sampler::node) fn route() -> Self {
        Self::new(None)
    }

    /// Creates a connection for sockets.
    pub(in crate::sampler::node) fn sockets() -> Self {
        Self::new(Some(SOCK_DIAG))
    }

    fn new(protocol: Option<Protocol>) -> Self {
        Self { protocol, socket: None, buffer: vec![0; BUFFER_BYTES].into(), sequence: 0 }
    }

    /// Asks for a dump. `each` gets the payloads of messages of the type `answer`. A dump during
    /// which devices are added or removed may lack some of them, or repeat some.
    pub(super) fn dump(
        &mut self,
        (request, answer): (u16, u16),
        payload: &[u8],
        each: impl FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(self.protocol).map_err(|error| SourceError::new(failure(error)))?,
        };
        // Answers to earlier requests have other numbers.
        self.sequence = self.sequence.wrapping_add(1);
        let request = dump_request(request, self.sequence, payload);
        send(&socket, &request, SendFlags::empty())
            .map_err(|error| SourceError::new(failure(error)))?;
        let receive = |buffer: &mut [u8]| receive(&socket, buffer);
        read_dump(receive, &mut self.buffer, (answer, self.sequence), each)
            .map_err(SourceError::new)?;
        // After an error the socket is closed, since further answers may be on their way.
        self.socket = Some(socket);
        Ok(())
    }
}

fn failure(error: Errno) -> DumpError {
    DumpError::Io(error.into())
}

fn open(protocol: Option<Protocol>) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
    set_socket_timeout(&socket, Timeout::Send, Some(TIMEOUT))?;
    Ok(socket)
}

/// Receives a datagram. Returns its length, also if it does not fit into the buffer; 0 if it is not
/// from the kernel.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, len, sender) = match recvfrom(socket, buffer, RecvFlags::TRUNC) {
        Err(Errno::INTR) => return Ok(0),
        received => received?,
    };
    // Other processes may send datagrams, too; the kernel has port 0.
    let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
    Ok(if sender.is_some_and(|sender| sender.pid() == 0) { len } else { 0 })
}
