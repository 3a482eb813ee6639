//! Ports that are kept for a listener.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};

use fleetgauge_receiver::ReservedAddress;
use tokio::net::TcpSocket;

/// Binds a port as an outgoing connection does that has chosen it.
fn bind_outgoing(address: SocketAddr) -> io::Result<()> {
    TcpSocket::new_v4()?.bind(address)
}

#[test]
fn reserved_port_is_left_to_its_listener() {
    let reserved = ReservedAddress::on_loopback().unwrap();
    let address = reserved.address();
    for _ in 0..2 {
        let taken = bind_outgoing(address).map_err(|error| error.kind());
        assert_eq!(taken, Err(ErrorKind::AddrInUse));
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let listener = TcpListener::bind(address).unwrap();
        TcpStream::connect(address).unwrap();
        drop(listener);
    }
}
