//! Addresses of network devices, from netlink.

use std::net::IpAddr;

use crate::sampler::node::SourceError;
use crate::sampler::node::column::gauge;
use crate::sampler::node::netlink::{Connection, dump_addresses, dump_links};
use crate::tables::{ColumnSpec, Output};

/// Labels of an address.
pub(super) const ADDRESS_LABELS: &[&str] = &["device", "address", "netmask", "scope"];

pub(super) const ADDRESS_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_network_address_info", "Address of the device; the value is 1.")];

/// Maximum number of devices whose names are kept during a reading.
const MAX_DEVICES: usize = 100_000;

/// The addresses of all network devices.
#[derive(Debug)]
pub(super) struct Addresses(pub(super) Connection);

impl Addresses {
    /// Writes a row for each address to the table with this index.
    pub(super) fn read(&mut self, output: &mut Output, table: usize) -> Result<(), SourceError> {
        let mut names: Vec<(i32, String)> = Vec::new();
        dump_links(&mut self.0, false, |link| {
            if names.len() < MAX_DEVICES {
                names.push((link.index, link.name.to_string()));
            }
        })?;
        names.sort_unstable();
        dump_addresses(&mut self.0, |address| {
            if let Ok(at) = names.binary_search_by_key(&address.device, |(index, _)| *index) {
                let (text, bits) = (address.address.to_string(), address.prefix_bits.to_string());
                let labels = [&names[at].1, text.as_str(), &bits, scope(address.address)];
                output.row(table, &labels)[0] = 1.0;
            }
        })
    }
}

/// Returns the scope of an address, in the words of node_exporter.
fn scope(address: IpAddr) -> &'static str {
    let (is_link_local, is_interface_local) = match address {
        IpAddr::V4(ipv4) => (ipv4.is_link_local() || ipv4.octets()[..3] == [224, 0, 0], false),
        IpAddr::V6(ipv6) => {
            // The low bits of the second byte of a multicast address are its scope.
            let multicast_scope = ipv6.is_multicast().then_some(ipv6.segments()[0] & 0xf);
            let is_link_local = ipv6.is_unicast_link_local() || multicast_scope == Some(2);
            (is_link_local, multicast_scope == Some(1))
        }
    };
    let is_broadcast = address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    match address {
        _ if address.is_loopback() || is_link_local => "link-local",
        _ if is_interface_local => "interface-local",
        _ if address.is_multicast() || address.is_unspecified() || is_broadcast => "",
        _ => "global",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_those_of_node_exporter() {
        let scopes = [
            ("127.0.0.1", "link-local"),
            ("::1", "link-local"),
            ("169.254.3.4", "link-local"),
            ("fe80::1", "link-local"),
            ("224.0.0.1", "link-local"),
            ("ff02::1", "link-local"),
            ("ff01::1", "interface-local"),
            ("10.0.0.1", "global"),
            ("fd00::1", "global"),
            ("2001:db8::1", "global"),
            ("0.0.0.0", ""),
            ("255.255.255.255", ""),
            ("239.1.2.3", ""),
            ("ff0e::1", ""),
        ];
        for (address, expected) in scopes {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }
}
