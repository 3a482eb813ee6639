//! Addresses of network devices: `RTM_GETADDR`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Connection;
use super::message::{Attributes, i32_at};
use crate::sampler::SourceError;

/// Request for addresses: `RTM_GETADDR`; the answer is `RTM_NEWADDR`.
const GET_ADDRESS: (u16, u16) = (22, 20);
/// Length of `ifaddrmsg`, in bytes.
const FIXED_BYTES: usize = 8;
/// Attributes: `IFA_ADDRESS` and `IFA_LOCAL`.
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;

/// An address of a network device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sampler::node) struct Address {
    /// Index of its device.
    pub(in crate::sampler::node) device: i32,
    pub(in crate::sampler::node) address: IpAddr,
    pub(in crate::sampler::node) prefix_bits: u8,
}

/// Asks for all addresses.
///
/// # Errors
/// The kernel does not answer.
pub(in crate::sampler::node) fn dump_addresses(
    connection: &mut Connection,
    mut each: impl FnMut(Address),
) -> Result<(), SourceError> {
    connection.dump(GET_ADDRESS, &[0; FIXED_BYTES], |payload| {
        if let Some(address) = Address::parse(payload) {
            each(address);
        }
    })?;
    Ok(())
}

impl Address {
    /// Parses `ifaddrmsg` and its attributes. `None` if it is too short or has no IP address.
    fn parse(payload: &[u8]) -> Option<Self> {
        let (prefix_bits, device) = (*payload.get(1)?, i32_at(payload, 4)?);
        // On a point-to-point device the other attribute has the address of the peer.
        let find = |wanted: u16| {
            let mut attributes = Attributes::after(payload, FIXED_BYTES);
            attributes.find_map(|(kind, value)| (kind == wanted).then_some(value))
        };
        let address = parse_address(find(LOCAL).or_else(|| find(ADDRESS))?)?;
        Some(Self { device, address, prefix_bits })
    }
}

fn parse_address(bytes: &[u8]) -> Option<IpAddr> {
    let ipv4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    let ipv6 = || <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into());
    ipv4.or_else(|_| ipv6()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::netlink::message::push_attribute;

    fn payload(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut payload = vec![2, 24, 0, 0];
        payload.extend(4_i32.to_ne_bytes());
        for (kind, value) in attributes {
            push_attribute(&mut payload, *kind, value);
        }
        payload
    }

    #[test]
    fn own_address_is_preferred_to_that_of_the_peer() {
        let address = |attributes: &[(u16, &[u8])]| {
            Address::parse(&payload(attributes)).map(|address| address.address.to_string())
        };
        let peer = (1, &[10, 0, 0, 2][..]);
        let own = (2, &[10, 0, 0, 1][..]);
        assert_eq!(address(&[peer, own]).as_deref(), Some("10.0.0.1"));
        assert_eq!(address(&[peer]).as_deref(), Some("10.0.0.2"));
        assert_eq!(address(&[(1, &[0; 16])]).as_deref(), Some("::"));
        assert_eq!(address(&[(1, &[0; 5])]), None);
        assert_eq!(address(&[]), None);
        assert_eq!(Address::parse(&[2, 24, 0]), None);
        let parsed = Address::parse(&payload(&[own])).unwrap();
        assert_eq!((parsed.device, parsed.prefix_bits), (4, 24));
    }
}
