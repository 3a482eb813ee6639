//! Attributes of network devices, from netlink and `/sys/class/net`.

mod files;
mod links;
#[cfg(test)]
mod tests;

use self::files::InterfaceFiles;
use self::links::InterfaceLinks;
use super::column::{counter, gauge, table};
use super::filter::Filter;
use super::netlink::Connection;
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "netclass",
    by_default: true,
    options: &[
        NodeOption { name: "netclass.ignored-devices", kind: OptionKind::Pattern, default: "^$" },
        NodeOption {
            name: "netclass.ignore-invalid-speed",
            kind: OptionKind::Switch,
            default: "false",
        },
    ],
    tables: |_| vec![table(&["device"], &COLUMNS), table(INFO_LABELS, &INFO_COLUMNS)],
    create: |options| Ok(Box::new(NetClass::new(options))),
};

/// A numeric attribute of a device. Its number is that of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    AddressAssignType,
    Carrier,
    CarrierChanges,
    CarrierUpChanges,
    CarrierDownChanges,
    DeviceId,
    Dormant,
    Flags,
    Index,
    Link,
    LinkMode,
    Mtu,
    NameAssignType,
    Group,
    /// In Mbit/s; -1 if it is not known.
    Speed,
    TransmitQueueLength,
    HardwareType,
}

/// Number of [`Attribute`]s.
pub(super) const ATTRIBUTES: usize = 17;
/// The column after those of the attributes.
const UP: usize = ATTRIBUTES;

const COLUMNS: [ColumnSpec; ATTRIBUTES + 1] = [
    gauge("node_network_address_assign_type", "How the device got its address."),
    gauge("node_network_carrier", "Whether the device has a carrier."),
    counter("node_network_carrier_changes_total", "Changes of the carrier."),
    counter("node_network_carrier_up_changes_total", "Changes to a carrier that is up."),
    counter("node_network_carrier_down_changes_total", "Changes to a carrier that is down."),
    gauge("node_network_device_id", "Number of a device among those that share its port."),
    gauge("node_network_dormant", "Whether the device waits for an event before it is used."),
    gauge("node_network_flags", "Flags of the device, as a bit mask."),
    gauge("node_network_iface_id", "Index of the device."),
    gauge("node_network_iface_link", "Index of the device that this one is linked to."),
    gauge("node_network_iface_link_mode", "Link mode: 0 default, 1 dormant."),
    gauge("node_network_mtu_bytes", "Largest packet that the device sends, in bytes."),
    gauge("node_network_name_assign_type", "How the device got its name."),
    gauge("node_network_net_dev_group", "Group of the device."),
    gauge("node_network_speed_bytes", "Speed of the link, in bytes per second."),
    gauge("node_network_transmit_queue_length", "Maximum length of the send queue, in packets."),
    gauge("node_network_protocol_type", "Hardware type of the device, as in ARP."),
    gauge("node_network_up", "Whether the operational state is up."),
];

const INFO_LABELS: &[&str] =
    &["device", "address", "broadcast", "duplex", "operstate", "adminstate", "ifalias"];

const INFO_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_network_info", "Attributes of the device that are texts; the value is 1.")];

/// Factor from Mbit/s to bytes per second.
const BYTES_PER_MEGABIT: f64 = 125_000.0;
/// Flag of a device that is switched on: `IFF_UP`.
pub(super) const IS_UP: u32 = 1;

#[derive(Debug)]
struct NetClass {
    filter: Filter,
    ignores_invalid_speed: bool,
    way: Box<dyn InterfacesWay>,
}

/// A way to the attributes of all network devices.
pub(super) trait InterfacesWay: std::fmt::Debug + Send {
    /// Calls `each` with every device that is selected.
    ///
    /// # Errors
    /// The devices cannot be read.
    fn read(
        &mut self,
        selects: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(&Interface<'_>),
    ) -> Result<(), SourceError>;
}

/// Attributes of a network device. Texts that it does not have are empty.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Interface<'a> {
    pub(super) name: &'a str,
    pub(super) address: &'a str,
    pub(super) broadcast: &'a str,
    pub(super) duplex: &'a str,
    pub(super) operational_state: &'a str,
    pub(super) alias: &'a str,
    pub(super) numbers: Numbers,
}

/// Numeric attributes of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Numbers([Option<f64>; ATTRIBUTES]);

impl Numbers {
    pub(super) const fn get(&self, attribute: Attribute) -> Option<f64> {
        self.0[attribute as usize]
    }

    pub(super) fn set(&mut self, attribute: Attribute, value: Option<impl Into<f64>>) {
        self.0[attribute as usize] = value.map(Into::into);
    }

    /// Returns all numbers, in the order of [`Attribute`].
    pub(super) const fn as_mut(&mut self) -> &mut [Option<f64>; ATTRIBUTES] {
        &mut self.0
    }
}

impl NetClass {
    fn new(options: &NodeOptions) -> Self {
        let way: Box<dyn InterfacesWay> = match Connection::route(options) {
            Some(connection) => Box::new(InterfaceLinks::new(connection, options)),
            None => Box::new(InterfaceFiles::new(options)),
        };
        Self {
            filter: options.filter("", "netclass.ignored-devices"),
            ignores_invalid_speed: options.switch("netclass.ignore-invalid-speed"),
            way,
        }
    }
}

impl Source for NetClass {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { filter, ignores_invalid_speed, way } = self;
        way.read(&|name| filter.selects(name), &mut |interface| {
            let values = output.row(0, &[interface.name]);
            for (value, number) in values.iter_mut().zip(interface.numbers.0) {
                if let Some(number) = number {
                    *value = number;
                }
            }
            if let Some(speed) = interface.numbers.get(Attribute::Speed) {
                let is_valid = speed >= 0.0 || !*ignores_invalid_speed;
                let absent = fleetgauge_proto::report::ABSENT;
                let bytes = if is_valid { speed * BYTES_PER_MEGABIT } else { absent };
                values[Attribute::Speed as usize] = bytes;
            }
            values[UP] = f64::from(u8::from(interface.operational_state == "up"));
            output.row(1, &interface.info())[0] = 1.0;
        })
    }
}

impl Interface<'_> {
    /// Returns the values of [`INFO_LABELS`].
    fn info(&self) -> [&str; 7] {
        let state = match self.numbers.get(Attribute::Flags) {
            Some(flags) if flags as u32 & IS_UP != 0 => "up",
            Some(_) => "down",
            None => "unknown",
        };
        let Self { name, address, broadcast, duplex, operational_state, alias, .. } = self;
        [name, address, broadcast, duplex, operational_state, state, alias]
    }
}
