//! The socket of netlink.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netdevice::{InlinedName, index_to_name_inlined};
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, send,
    socket_with,
};

use super::dump::{DumpError, read_dump};
use super::message::{DUMP, message};
use crate::sampler::SourceError;
use crate::sampler::node::NodeOptions;

/// Size of the receive buffer, in bytes: the longest datagram that the kernel makes for a dump.
const BUFFER_BYTES: usize = 32 * 1024;
/// Maximum time between two datagrams, and for sending a request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the kernel. After an error it is opened again when it is used.
#[derive(Debug)]
pub(in crate::sampler::node) struct Connection {
    /// `None`: `NETLINK_ROUTE`.
    protocol: Option<Protocol>,
    socket: Option<OwnedFd>,
    buffer: Box<[u8]>,
    sequence: u32,
    /// Devices of a dump, to be reused.
    pub(super) seen: HashSet<i32>,
}

impl Connection {
    /// Opens a connection for links, addresses and neighbours. `None` if netlink shows another host
    /// than the settings name, or is not available: the collectors read files then.
    pub(in crate::sampler::node) fn route(options: &NodeOptions) -> Option<Self> {
        Self::open(None, options)
    }

    /// Opens a connection for sockets. `None` as for [`Connection::route`].
    pub(in crate::sampler::node) fn sockets(options: &NodeOptions) -> Option<Self> {
        Self::open(Some(SOCK_DIAG), options)
    }

    fn open(protocol: Option<Protocol>, options: &NodeOptions) -> Option<Self> {
        // Netlink shows the network namespace of the agent. It is not available where a sandbox
        // restricts the address families.
        let is_own_host =
            options.procfs("") == Path::new("/proc") && options.sysfs("") == Path::new("/sys");
        let socket = is_own_host.then(|| open(protocol).ok()).flatten()?;
        let buffer = vec![0; BUFFER_BYTES].into();
        Some(Self { protocol, socket: Some(socket), buffer, sequence: 0, seen: HashSet::new() })
    }

    /// Asks for a dump. `each` gets the payloads of messages of the type `answer`. A dump during
    /// which devices are added or removed may lack some of them, or repeat some. Returns whether
    /// the kernel says that this did not happen.
    pub(super) fn dump(
        &mut self,
        kinds: (u16, u16),
        payload: &[u8],
        each: impl FnMut(&[u8]),
    ) -> Result<bool, SourceError> {
        self.ask(kinds, payload, each).map_err(SourceError::new)
    }

    /// Returns the name of the network device with this index; `None` if it does not exist any more
    /// or its name is not UTF-8.
    pub(in crate::sampler::node) fn device_name(&self, index: i32) -> Option<InlinedName> {
        // Much cheaper than a request over netlink, and any socket will do.
        index_to_name_inlined(self.socket.as_ref()?, u32::try_from(index).ok()?).ok()
    }

    fn ask(
        &mut self,
        (request, answer): (u16, u16),
        payload: &[u8],
        each: impl FnMut(&[u8]),
    ) -> Result<bool, DumpError> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(self.protocol)?,
        };
        // Answers to earlier requests have other numbers.
        self.sequence = self.sequence.wrapping_add(1);
        let request = message(request, DUMP, self.sequence, payload);
        send(&socket, &request, SendFlags::empty()).map_err(io::Error::from)?;
        let receive = |buffer: &mut [u8]| receive(&socket, buffer);
        let answer = (answer, self.sequence);
        let is_consistent = read_dump(receive, &mut self.buffer, answer, each)?;
        // After an error the socket is closed, since further answers may be on their way.
        self.socket = Some(socket);
        Ok(is_consistent)
    }
}

fn open(protocol: Option<Protocol>) -> io::Result<OwnedFd> {
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
