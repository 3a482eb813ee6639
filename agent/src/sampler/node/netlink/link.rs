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
/// Maximum number of dumps in a reading. Devices that a second one lacks are in the next reading.
const MAX_DUMPS: usize = 2;

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

/// Asks for all devices. Statistics cost more than everything else. Kernels before 6.10 may repeat
/// or leave out a device if others are added or removed during the dump.
///
/// # Errors
/// The kernel does not answer.
pub(in crate::sampler::node) fn dump_links(
    connection: &mut Connection,
    with_statistics: bool,
    mut each: impl FnMut(&Link<'_>),
) -> Result<(), SourceError> {
    let request = request(with_statistics);
    let mut seen = std::mem::take(&mut connection.seen);
    let dump = |each: &mut dyn FnMut(&[u8])| connection.dump(GET_LINK, &request, each);
    let read = read_links(dump, &mut seen, &mut each);
    connection.seen = seen;
    read
}

/// Calls `each` with every device of a dump. Repeats a dump that is not consistent, for the devices
/// that it lacks.
fn read_links(
    mut dump: impl FnMut(&mut dyn FnMut(&[u8])) -> Result<bool, SourceError>,
    seen: &mut HashSet<i32>,
    each: &mut dyn FnMut(&Link<'_>),
) -> Result<(), SourceError> {
    seen.clear();
    for attempt in 0..MAX_DUMPS {
        let dumped = dump(&mut |payload| {
            if let Some(link) = Link::parse(payload).filter(|link| seen.insert(link.index)) {
                each(&link);
            }
        });
        match dumped {
            Ok(false) => {}
            Ok(true) => break,
            // The first dump had nearly all devices.
            Err(_) if attempt > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
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

    /// Returns the names of the devices of dumps, which name devices and may be consistent.
    fn names(dumps: &[(&[u8], bool)]) -> String {
        let mut dumps = dumps.iter();
        let mut names = String::new();
        let dump = |each: &mut dyn FnMut(&[u8])| {
            let (devices, is_consistent) = dumps.next().unwrap();
            for device in *devices {
                let mut payload = payload(&[(3, &[*device])]);
                payload[4] = *device;
                each(&payload);
            }
            Ok(*is_consistent)
        };
        read_links(dump, &mut HashSet::new(), &mut |link| names.push_str(&link.name)).unwrap();
        names
    }

    #[test]
    fn device_that_a_dump_repeats_counts_once() {
        assert_eq!(names(&[(b"abab", true)]), "ab");
    }

    #[test]
    fn inconsistent_dump_is_repeated_once() {
        assert_eq!(names(&[(b"ac", false), (b"abc", true)]), "acb");
        assert_eq!(names(&[(b"a", false), (b"ab", false)]), "ab");
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
