//! Attributes of network devices from netlink, with the same values as the files of
//! `/sys/class/net`. What netlink does not tell is read from the files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;

use super::files::parse_number;
use super::{Attribute, IS_UP, Interface, InterfacesWay, Numbers};
use crate::sampler::node::netlink::{Connection, Link, dump_links};
use crate::sampler::node::{NodeOptions, SourceError};

/// Maximum number of devices whose files are read in a reading, unless the device has changed. On a
/// host with more devices they take turns, so that thousands of veths do not cost a file each.
const TURNS_PER_READING: usize = 64;
/// Number of turns after which files are read again whose content changes with the address or name.
const TURNS_PER_STATIC_READ: u32 = 20;
/// Maximum number of devices whose files are read.
const MAX_DEVICES: usize = 100_000;
/// Maximum size of an attribute's file, in bytes: a page.
const MAX_FILE_BYTES: u64 = 4096;

// Flags of a device: `IFF_RUNNING` and so on.
const RUNNING: u32 = 0x40;
const PROMISCUOUS: u32 = 0x100;
const ALL_MULTICAST: u32 = 0x200;
const LOWER_UP: u32 = 0x1_0000;
const DORMANT: u32 = 0x2_0000;

/// Names of operational states, by their numbers in RFC 2863.
const OPERATIONAL_STATES: [&str; 7] =
    ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

/// The attributes of network devices by netlink.
#[derive(Debug)]
pub(super) struct InterfaceLinks {
    connection: Connection,
    files: FileCache,
}

impl InterfaceLinks {
    pub(super) fn new(connection: Connection, options: &NodeOptions) -> Self {
        Self { connection, files: FileCache::new(options) }
    }
}

impl InterfacesWay for InterfaceLinks {
    fn read(
        &mut self,
        selects: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(&Interface<'_>),
    ) -> Result<(), SourceError> {
        let Self { connection, files } = self;
        let (mut address, mut broadcast) = (String::new(), String::new());
        files.start();
        dump_links(connection, false, |link| {
            if selects(&link.name) {
                let files = files.read(link);
                write_address(link.address, &mut address);
                write_address(link.broadcast, &mut broadcast);
                each(&Interface {
                    address: &address,
                    broadcast: &broadcast,
                    ..interface(link, files)
                });
            }
        })?;
        files.finish();
        Ok(())
    }
}

/// What the files of all devices said when they were last read.
#[derive(Debug)]
struct FileCache {
    /// Path of the directory of devices.
    directory: String,
    devices: BTreeMap<i32, DeviceValues>,
    /// Number of the reading.
    reading: usize,
    /// Number of devices in this reading.
    seen: usize,
    /// Shown for devices beyond the maximum number.
    none: DeviceValues,
}

/// What the files of a device said.
#[derive(Debug, Default)]
struct DeviceValues {
    /// Attributes that netlink does not tell.
    numbers: Numbers,
    duplex: String,
    /// Whether the device receives all multicast packets.
    has_all_multicast: bool,
    state: LinkState,
    reading: usize,
    turns: u32,
}

/// What netlink says that files change with.
#[derive(Debug, Default, PartialEq, Eq)]
struct LinkState {
    name: String,
    address: Vec<u8>,
    flags: u32,
    operational_state: Option<u8>,
    carrier_changes: Option<u32>,
}

impl LinkState {
    fn is_of(&self, link: &Link<'_>) -> bool {
        self.name == link.name
            && self.address == link.address
            && self.flags == link.flags
            && self.operational_state == link.operational_state
            && self.carrier_changes == link.carrier_changes
    }

    fn of(link: &Link<'_>) -> Self {
        Self {
            name: link.name.to_string(),
            address: link.address.to_vec(),
            flags: link.flags,
            operational_state: link.operational_state,
            carrier_changes: link.carrier_changes,
        }
    }
}

impl FileCache {
    fn new(options: &NodeOptions) -> Self {
        Self {
            directory: options.sysfs("class/net").to_string_lossy().into_owned(),
            devices: BTreeMap::new(),
            reading: 0,
            seen: 0,
            none: DeviceValues::default(),
        }
    }

    /// Starts a reading of all devices.
    fn start(&mut self) {
        self.reading = self.reading.wrapping_add(1);
        self.seen = 0;
    }

    /// Returns what the files of a device say. Reads them if the device has changed or has its
    /// turn.
    fn read(&mut self, link: &Link<'_>) -> &DeviceValues {
        let Self { directory, devices, reading, seen, none } = self;
        let groups = devices.len().div_ceil(TURNS_PER_READING).max(1);
        let is_turn = (*seen / TURNS_PER_READING) % groups == *reading % groups;
        *seen += 1;
        if devices.len() >= MAX_DEVICES && !devices.contains_key(&link.index) {
            return none;
        }
        let values = devices.entry(link.index).or_default();
        values.reading = *reading;
        let has_changed = !values.state.is_of(link);
        if has_changed {
            values.state = LinkState::of(link);
            values.turns = 0;
        }
        if has_changed || is_turn {
            values.read(link, |file| read_file(directory, &link.name, file));
            values.turns = (values.turns + 1) % TURNS_PER_STATIC_READ;
        }
        values
    }

    /// Ends a reading: forgets devices that do not exist any more.
    fn finish(&mut self) {
        let reading = self.reading;
        self.devices.retain(|_, values| values.reading == reading);
    }
}

impl DeviceValues {
    /// Reads the files. `file` reads the file with a name; `None` if it cannot be read.
    fn read(&mut self, link: &Link<'_>, mut file: impl FnMut(&str) -> Option<String>) {
        let is_up = link.flags & IS_UP != 0;
        // This file and that of the speed cannot be read while the device is down.
        self.duplex = is_up.then(|| file("duplex")).flatten().unwrap_or_default();
        let mut number = |name: &str| parse_number(&file(name)?);
        let numbers = &mut self.numbers;
        numbers.set(Attribute::Speed, is_up.then(|| number("speed")).flatten());
        if self.turns == 0 {
            numbers.set(Attribute::AddressAssignType, number("addr_assign_type"));
            numbers.set(Attribute::DeviceId, number("dev_id"));
            numbers.set(Attribute::NameAssignType, number("name_assign_type"));
        }
        if link.all_multicast.is_none() {
            let flags = number("flags").unwrap_or_default() as u32;
            self.has_all_multicast = flags & ALL_MULTICAST != 0;
        }
    }
}

/// Reads a file of sysfs, without white space around its text; `None` if it cannot be read.
fn read_file(directory: &str, device: &str, file: &str) -> Option<String> {
    let file = File::open(format!("{directory}/{device}/{file}")).ok()?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).ok()?;
    text.truncate(text.trim_end().len());
    Some(text)
}

/// Returns the attributes of a device, but for its addresses.
fn interface<'a>(link: &'a Link<'_>, files: &'a DeviceValues) -> Interface<'a> {
    let is_up = link.flags & IS_UP != 0;
    let state = link.operational_state.and_then(|state| OPERATIONAL_STATES.get(usize::from(state)));
    let mut numbers = files.numbers;
    // While the device is down sysfs has neither of these two.
    numbers.set(Attribute::Carrier, link.carrier.filter(|_| is_up));
    let is_dormant = u8::from(link.flags & DORMANT != 0);
    numbers.set(Attribute::Dormant, is_up.then_some(is_dormant));
    numbers.set(Attribute::CarrierChanges, link.carrier_changes);
    numbers.set(Attribute::CarrierUpChanges, link.carrier_up_changes);
    numbers.set(Attribute::CarrierDownChanges, link.carrier_down_changes);
    numbers.set(Attribute::Flags, Some(flags(link, files.has_all_multicast)));
    numbers.set(Attribute::Index, Some(link.index));
    numbers.set(Attribute::Link, Some(link.link.unwrap_or(link.index)));
    numbers.set(Attribute::LinkMode, link.link_mode);
    numbers.set(Attribute::Mtu, link.mtu);
    numbers.set(Attribute::Group, link.group);
    numbers.set(Attribute::TransmitQueueLength, link.transmit_queue_length);
    numbers.set(Attribute::HardwareType, Some(link.kind));
    Interface {
        name: &link.name,
        duplex: &files.duplex,
        operational_state: state.copied().unwrap_or_default(),
        alias: link.alias.trim(),
        numbers,
        ..Interface::default()
    }
}

/// Returns the flags as sysfs shows them. Netlink adds the state of the link, and hides what others
/// than the user have switched on.
fn flags(link: &Link<'_>, has_all_multicast: bool) -> u32 {
    let hidden = RUNNING | LOWER_UP | DORMANT | PROMISCUOUS | ALL_MULTICAST;
    let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
    let is_promiscuous = link.promiscuity.is_some_and(|users| users > 0);
    let has_all_multicast = link.all_multicast.map_or(has_all_multicast, |users| users > 0);
    link.flags & !hidden | bit(is_promiscuous, PROMISCUOUS) | bit(has_all_multicast, ALL_MULTICAST)
}

/// Writes an address as hexadecimal bytes with colons between them.
fn write_address(address: &[u8], text: &mut String) {
    text.clear();
    for (number, byte) in address.iter().enumerate() {
        let colon = if number == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02x}");
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
