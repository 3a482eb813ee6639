//! Network devices and their statistics: `RTM_GETLINK`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Connection;
use super::message::{Attributes, i32_at, push_attribute, u16_at, u32_at, u64_at};
use crate::sampler::SourceError;

/// Number of statistics of a device: up to `rx_nohandler` of `rtnl_link_stats64`.
pub(in crate::sampler::node) const STATISTICS: usize = 24;

/// Statistics of a device, in the order of `rtnl_link_stats64`. Old kernels lack the last ones.
pub(in crate::sampler::node) type Statistics = [Option<u64>; STATISTICS];

/// Request for devices: `RTM_GETLINK`; the answer is `RTM_NEWLINK`.
const GET_LINK: (u16, u16) = (18, 16);
/// Length of `ifinfomsg`, in bytes.
const FIXED_BYTES: usize = 16;
/// Attribute of a request: `IFLA_EXT_MASK`, with the value `RTEXT_FILTER_SKIP_STATS`.
const EXTENSIONS: u16 = 29;
const SKIP_STATISTICS: u32 = 8;

/// A network device. Values that the kernel does not tell are absent.
#[derive(Debug, Default, PartialEq)]
pub(in crate::sampler::node) struct Link<'a> {
    /// Index of the device.
    pub(in crate::sampler::node) index: i32,
    /// Hardware type: an `ARPHRD` number.
    pub(in crate::sampler::node) kind: u16,
    /// Flags: `IFF_UP` and so on.
    pub(in crate::sampler::node) flags: u32,
    pub(in crate::sampler::node) name: Cow<'a, str>,
    pub(in crate::sampler::node) alias: Cow<'a, str>,
    pub(in crate::sampler::node) address: &'a [u8],
    pub(in crate::sampler::node) broadcast: &'a [u8],
    pub(in crate::sampler::node) mtu: Option<u32>,
    /// Index of the device that this one is linked to, if it is another one.
    pub(in crate::sampler::node) link: Option<i32>,
    pub(in crate::sampler::node) transmit_queue_length: Option<u32>,
    /// Operational state, as in RFC 2863.
    pub(in crate::sampler::node) operational_state: Option<u8>,
    pub(in crate::sampler::node) link_mode: Option<u8>,
    pub(in crate::sampler::node) group: Option<u32>,
    /// Number of users that need promiscuous mode.
    pub(in crate::sampler::node) promiscuity: Option<u32>,
    /// Number of users that need all multicast packets.
    pub(in crate::sampler::node) all_multicast: Option<u32>,
    pub(in crate::sampler::node) carrier: Option<u8>,
    pub(in crate::sampler::node) carrier_changes: Option<u32>,
    pub(in crate::sampler::node) carrier_up_changes: Option<u32>,
    pub(in crate::sampler::node) carrier_down_changes: Option<u32>,
    /// All absent unless they were asked for.
    pub(in crate::sampler::node) statistics: Statistics,
}

/// Asks for all devices. Statistics cost more than everything else. Of a device that a kernel before
/// 6.10 repeats, because others were added during the dump, the first message counts.
///
/// # Errors
/// The kernel does not answer.
pub(in crate::sampler::node) fn dump_links(
    connection: &mut Connection,
    with_statistics: bool,
    mut each: impl FnMut(&Link<'_>),
) -> Result<(), SourceError> {
    let mut seen = std::mem::take(&mut connection.seen);
    seen.clear();
    let dumped = connection.dump(GET_LINK, &request(with_statistics), |payload| {
        if let Some(link) = first(payload, &mut seen) {
            each(&link);
        }
    });
    connection.seen = seen;
    dumped
}

/// Parses a device; `None` if it was seen before.
fn first<'a>(payload: &'a [u8], seen: &mut HashSet<i32>) -> Option<Link<'a>> {
    Link::parse(payload).filter(|link| seen.insert(link.index))
}

/// Returns the payload of a request: `ifinfomsg` and attributes.
fn request(with_statistics: bool) -> Vec<u8> {
    let mut payload = vec![0; FIXED_BYTES];
    if !with_statistics {
        push_attribute(&mut payload, EXTENSIONS, &SKIP_STATISTICS.to_ne_bytes());
    }
    payload
}

impl<'a> Link<'a> {
    /// Parses `ifinfomsg` and its attributes. `None` if the payload is too short or has no name.
    fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut link = Self {
            kind: u16_at(payload, 2)?,
            index: i32_at(payload, 4)?,
            flags: u32_at(payload, 8)?,
            ..Self::default()
        };
        for (kind, value) in Attributes::after(payload, FIXED_BYTES) {
            link.set(kind, value);
        }
        (!link.name.is_empty()).then_some(link)
    }

    /// Sets the value of an attribute. The numbers are those of `IFLA_ADDRESS` and so on.
    fn set(&mut self, kind: u16, value: &'a [u8]) {
        match kind {
            1 => self.address = value,
            2 => self.broadcast = value,
            3 => self.name = text(value),
            4 => self.mtu = u32_at(value, 0),
            5 => self.link = i32_at(value, 0),
            13 => self.transmit_queue_length = u32_at(value, 0),
            16 => self.operational_state = value.first().copied(),
            17 => self.link_mode = value.first().copied(),
            20 => self.alias = text(value),
            23 => self.statistics = std::array::from_fn(|number| u64_at(value, 8 * number)),
            27 => self.group = u32_at(value, 0),
            30 => self.promiscuity = u32_at(value, 0),
            33 => self.carrier = value.first().copied(),
            35 => self.carrier_changes = u32_at(value, 0),
            47 => self.carrier_up_changes = u32_at(value, 0),
            48 => self.carrier_down_changes = u32_at(value, 0),
            61 => self.all_multicast = u32_at(value, 0),
            _ => {}
        }
    }
}

/// Returns a text that ends at the first zero byte.
fn text(value: &[u8]) -> Cow<'_, str> {
    let len = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the payload of a device with index 4 and flags 0x1003.
    fn payload(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut payload = vec![0, 0, 1, 0, 4, 0, 0, 0, 3, 16, 0, 0, 0, 0, 0, 0];
        payload[2..4].copy_from_slice(&1_u16.to_ne_bytes());
        payload[4..8].copy_from_slice(&4_i32.to_ne_bytes());
        payload[8..12].copy_from_slice(&0x1003_u32.to_ne_bytes());
        for (kind, value) in attributes {
            push_attribute(&mut payload, *kind, value);
        }
        payload
    }

    #[test]
    fn attributes_are_parsed() {
        let statistics: Vec<u8> = (1..=23_u64).flat_map(u64::to_ne_bytes).collect();
        let payload = payload(&[
            (3, b"eth0\0"),
            (1, &[2, 0, 0, 0, 0, 1]),
            (4, &1500_u32.to_ne_bytes()),
            (16, &[6]),
            (20, b"up\xfflink\0"),
            (23, &statistics),
            (0xffff, &[1]),
        ]);
        let link = Link::parse(&payload).unwrap();
        assert_eq!((link.index, link.kind, link.flags), (4, 1, 0x1003));
        assert_eq!((&*link.name, &*link.alias), ("eth0", "up\u{fffd}link"));
        assert_eq!((link.mtu, link.operational_state, link.carrier), (Some(1500), Some(6), None));
        assert_eq!(link.address, [2, 0, 0, 0, 0, 1]);
        assert_eq!((link.statistics[0], link.statistics[22]), (Some(1), Some(23)));
        assert_eq!(link.statistics[23], None, "not known to an old kernel");
    }

    #[test]
    fn repeated_device_is_skipped() {
        let payload = payload(&[(3, b"eth0\0")]);
        let mut seen = HashSet::new();
        assert!(first(&payload[..12], &mut seen).is_none(), "truncated");
        assert_eq!(first(&payload, &mut seen).unwrap().name, "eth0");
        assert_eq!(first(&payload, &mut seen), None);
    }

    #[test]
    fn truncated_payloads_do_not_panic() {
        let whole = payload(&[(3, b"eth0\0"), (4, &1500_u32.to_ne_bytes()), (23, &[1; 190])]);
        let mut parsed = 0;
        for len in 0..whole.len() {
            parsed += usize::from(Link::parse(&whole[..len]).is_some());
        }
        assert!(parsed > 0);
        assert_eq!(Link::parse(&payload(&[(3, b"\0"), (4, &[1])])), None, "without a name");
        let short = payload(&[(3, b"eth0"), (4, &[1]), (16, &[]), (23, &[1; 9])]);
        let link = Link::parse(&short).unwrap();
        assert_eq!((link.mtu, link.operational_state), (None, None));
        assert_eq!((link.statistics[0].is_some(), link.statistics[1]), (true, None));
    }
}
