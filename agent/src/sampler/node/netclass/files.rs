//! Attributes of network devices from the files of `/sys/class/net`.

use super::{ATTRIBUTES, Interface, InterfacesWay, Numbers};
use crate::sampler::node::files::{Device, DeviceFiles};
use crate::sampler::node::{NodeOptions, SourceError};

/// The files of a device: first the numbers in the order of their columns, then the texts.
const FILES: &[&str] = &[
    "addr_assign_type",
    "carrier",
    "carrier_changes",
    "carrier_up_count",
    "carrier_down_count",
    "dev_id",
    "dormant",
    "flags",
    "ifindex",
    "iflink",
    "link_mode",
    "mtu",
    "name_assign_type",
    "netdev_group",
    "speed",
    "tx_queue_len",
    "type",
    "address",
    "broadcast",
    "duplex",
    "operstate",
    "ifalias",
];
const TEXTS: usize = FILES.len() - ATTRIBUTES;

/// The files with attributes of network devices.
#[derive(Debug)]
pub(super) struct InterfaceFiles {
    devices: DeviceFiles,
    texts: [String; TEXTS],
}

impl InterfaceFiles {
    pub(super) fn new(options: &NodeOptions) -> Self {
        let devices = DeviceFiles::new(options.sysfs("class/net"), FILES);
        Self { devices, texts: Default::default() }
    }
}

impl InterfacesWay for InterfaceFiles {
    fn read(
        &mut self,
        selects: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(&Interface<'_>),
    ) -> Result<(), SourceError> {
        let Self { devices, texts } = self;
        for device in devices.list(selects)? {
            let Some(numbers) = read_device(device, texts) else { continue };
            let [address, broadcast, duplex, operational_state, alias] = &*texts;
            each(&Interface {
                name: device.name(),
                address,
                broadcast,
                duplex,
                operational_state,
                alias,
                numbers,
            });
        }
        Ok(())
    }
}

/// Reads the files of a device. `None` if none can be read: it is no device, such as the file
/// `bonding_masters`, or does not exist any more.
fn read_device(device: &mut Device, texts: &mut [String; TEXTS]) -> Option<Numbers> {
    let mut numbers = Numbers::default();
    for (file, number) in numbers.as_mut().iter_mut().enumerate() {
        *number = device.value(file).and_then(parse_number);
    }
    let mut exists = numbers != Numbers::default();
    for (file, text) in texts.iter_mut().enumerate() {
        let value = device.value(ATTRIBUTES + file);
        exists |= value.is_some();
        text.clear();
        text.push_str(value.unwrap_or_default());
    }
    exists.then_some(numbers)
}

/// Parses a decimal number, or a hexadecimal one that starts with `0x`.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let number: i64 = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok()?,
        None => text.parse().ok()?,
    };
    Some(number as f64)
}
