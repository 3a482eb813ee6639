//! Entries of the ARP table: `RTM_GETNEIGH`.

use super::Connection;
use super::message::{i32_at, u16_at};
use crate::sampler::SourceError;

/// Request for neighbours: `RTM_GETNEIGH`; the answer is `RTM_NEWNEIGH`.
const GET_NEIGHBOUR: (u16, u16) = (30, 28);
/// Length of `ndmsg`, in bytes.
const FIXED_BYTES: usize = 12;
/// Address family of IPv4: `AF_INET`.
const IPV4: u8 = 2;
/// State of an entry that needs no ARP, such as one of the loopback device: `NUD_NOARP`.
const NO_ARP: u16 = 0x40;

/// An entry of the ARP table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sampler::node) struct Neighbour {
    /// Index of its device.
    pub(in crate::sampler::node) device: i32,
    /// Whether its address was not found by ARP.
    pub(in crate::sampler::node) is_without_arp: bool,
}

/// Asks for all entries of IPv4.
///
/// # Errors
/// The kernel does not answer.
pub(in crate::sampler::node) fn dump_ipv4_neighbours(
    connection: &mut Connection,
    mut each: impl FnMut(Neighbour),
) -> Result<(), SourceError> {
    let mut payload = [0; FIXED_BYTES];
    payload[0] = IPV4;
    connection.dump(GET_NEIGHBOUR, &payload, |payload| {
        if let Some(neighbour) = Neighbour::parse(payload) {
            each(neighbour);
        }
    })?;
    Ok(())
}

impl Neighbour {
    /// Parses `ndmsg`. `None` if it is too short or of another address family.
    fn parse(payload: &[u8]) -> Option<Self> {
        let is_ipv4 = payload.len() >= FIXED_BYTES && payload.first() == Some(&IPV4);
        let (device, state) = (i32_at(payload, 4)?, u16_at(payload, 8)?);
        is_ipv4.then_some(Self { device, is_without_arp: state & NO_ARP != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbour_is_parsed() {
        let mut payload = vec![2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        payload[4..8].copy_from_slice(&4_i32.to_ne_bytes());
        payload[8..10].copy_from_slice(&0x42_u16.to_ne_bytes());
        let neighbour = Neighbour { device: 4, is_without_arp: true };
        assert_eq!(Neighbour::parse(&payload), Some(neighbour));
        payload[8..10].copy_from_slice(&0x02_u16.to_ne_bytes());
        let neighbour = Neighbour { device: 4, is_without_arp: false };
        assert_eq!(Neighbour::parse(&payload), Some(neighbour));
        assert_eq!(Neighbour::parse(&payload[..11]), None);
        payload[0] = 10;
        assert_eq!(Neighbour::parse(&payload), None, "IPv6");
    }
}
