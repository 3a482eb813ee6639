//! Asks the kernel about links, neighbours and sockets over netlink.
//!
//! One dump answers for all devices, without a file for each attribute of each device. Where
//! netlink cannot be used the collectors read files.
//!
//! | file | what it is for |
//! |---|---|
//! | `message.rs` | requests, messages and attributes as bytes |
//! | `dump.rs` | reads the messages of a dump |
//! | `connection.rs` | the socket |
//! | `address.rs` | addresses of network devices |
//! | `link.rs` | network devices and their statistics |
//! | `neighbour.rs` | entries of the ARP table |
//! | `tcp_socket.rs` | TCP sockets |

mod address;
mod connection;
mod dump;
mod link;
mod message;
mod neighbour;
mod tcp_socket;

pub(super) use address::dump_addresses;
pub(super) use connection::Connection;
pub(super) use link::{Link, STATISTICS, Statistics, dump_links};
pub(super) use neighbour::dump_ipv4_neighbours;
pub(super) use tcp_socket::{Family, TcpSocket, dump_tcp_sockets};
