//! Filesystems and network interfaces of an agent, from the metrics of node_exporter.

use std::collections::BTreeMap;

use crate::exposition::sample_labels;

/// Maximum number of filesystems, and of interfaces, on a page: a host with more has them among
/// its series.
pub(crate) const MAX_DEVICES: usize = 50;

/// The devices of an agent.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    /// The fullest first.
    pub(crate) filesystems: Vec<Filesystem>,
    /// By name.
    pub(crate) interfaces: Vec<Interface>,
}

/// A mounted filesystem.
#[derive(Debug, Default)]
pub(crate) struct Filesystem {
    pub(crate) mountpoint: String,
    pub(crate) device: String,
    pub(crate) kind: String,
    /// In bytes; NaN if it is not reported.
    pub(crate) size: f64,
    pub(crate) free: f64,
    /// Free for processes that are not root.
    pub(crate) available: f64,
}

impl Filesystem {
    /// Returns the used share as `df` does: used / (used + available).
    pub(crate) fn usage(&self) -> f64 {
        used_ratio(self.size, self.free, self.available)
    }
}

/// Returns the used share of a filesystem as `df` does; NaN if it has no size.
pub(super) fn used_ratio(size: f64, free: f64, available: f64) -> f64 {
    let used = size - free;
    if used + available > 0.0 { used / (used + available) } else { f64::NAN }
}

/// A network interface.
#[derive(Debug, Default)]
pub(crate) struct Interface {
    pub(crate) name: String,
    /// State of the kernel; loopback and tunnels have none.
    pub(super) is_up: Option<bool>,
    pub(super) has_carrier: Option<bool>,
    pub(crate) traffic: Traffic,
    /// Bytes a second since the report before; `None` until there is one.
    pub(crate) rate: Option<Traffic>,
    /// Number of errors in both directions since boot.
    pub(crate) errors: f64,
}

impl Interface {
    /// Whether it is known to be down.
    pub(crate) fn is_down(&self) -> bool {
        self.is_up == Some(false) && self.has_carrier != Some(true)
    }
}

/// Bytes that an interface has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) received: f64,
    pub(crate) sent: f64,
}

impl Devices {
    /// Reads the devices from the lines of a metrics page of one agent.
    pub(super) fn parse(page: &str) -> Self {
        let mut filesystems: BTreeMap<(String, String), Filesystem> = BTreeMap::new();
        let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
        for line in page.lines() {
            let Some(rest) = line.strip_prefix("node_") else { continue };
            let Some((name, labels, value)) = split(rest) else { continue };
            if let Some(field) = name.strip_prefix("filesystem_") {
                add_filesystem(&mut filesystems, field, labels, value);
            } else if let Some(field) = name.strip_prefix("network_") {
                add_interface(&mut interfaces, field, labels, value);
            }
        }
        let mut filesystems: Vec<_> =
            filesystems.into_values().filter(|one| !one.usage().is_nan()).collect();
        filesystems.sort_by(|one, other| other.usage().total_cmp(&one.usage()));
        filesystems.truncate(MAX_DEVICES);
        let interfaces = interfaces.into_values().take(MAX_DEVICES).collect();
        Self { filesystems, interfaces }
    }
}

/// Splits a line into name, labels and value.
fn split(line: &str) -> Option<(&str, &str, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{')?;
    Some((name, labels.strip_suffix('}')?, value.parse().ok()?))
}

fn label(labels: &str, name: &str) -> String {
    let found = sample_labels(labels).find(|(own, _)| *own == name);
    found.map_or_else(String::new, |(_, value)| value.into_owned())
}

fn add_filesystem(
    all: &mut BTreeMap<(String, String), Filesystem>,
    field: &str,
    labels: &str,
    value: f64,
) {
    if !matches!(field, "size_bytes" | "free_bytes" | "avail_bytes") {
        return;
    }
    let (mountpoint, device) = (label(labels, "mountpoint"), label(labels, "device"));
    let own = all.entry((mountpoint.clone(), device.clone())).or_insert_with(|| {
        let (size, free, available) = (f64::NAN, f64::NAN, f64::NAN);
        let kind = label(labels, "fstype");
        Filesystem { mountpoint, device, kind, size, free, available }
    });
    match field {
        "size_bytes" => own.size = value,
        "free_bytes" => own.free = value,
        _ => own.available = value,
    }
}

fn add_interface(all: &mut BTreeMap<String, Interface>, field: &str, labels: &str, value: f64) {
    if !matches!(
        field,
        "up" | "carrier"
            | "receive_bytes_total"
            | "transmit_bytes_total"
            | "receive_errs_total"
            | "transmit_errs_total"
    ) {
        return;
    }
    let name = label(labels, "device");
    let own = all.entry(name.clone()).or_insert_with(|| Interface { name, ..Interface::default() });
    match field {
        "up" => own.is_up = Some(value > 0.0),
        "carrier" => own.has_carrier = Some(value > 0.0),
        "receive_bytes_total" => own.traffic.received = value,
        "transmit_bytes_total" => own.traffic.sent = value,
        _ => own.errors += value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE node_filesystem_size_bytes gauge\n\
        node_filesystem_size_bytes{agent=\"a\",device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/\"} 100\n\
        node_filesystem_size_bytes{agent=\"a\",device=\"/dev/sdb1\",fstype=\"xfs\",mountpoint=\"/x \\\"y\\\"\"} 100\n\
        node_filesystem_free_bytes{agent=\"a\",device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/\"} 60\n\
        node_filesystem_free_bytes{agent=\"a\",device=\"/dev/sdb1\",fstype=\"xfs\",mountpoint=\"/x \\\"y\\\"\"} 10\n\
        node_filesystem_avail_bytes{agent=\"a\",device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/\"} 40\n\
        node_filesystem_avail_bytes{agent=\"a\",device=\"/dev/sdb1\",fstype=\"xfs\",mountpoint=\"/x \\\"y\\\"\"} 10\n\
        node_filesystem_readonly{agent=\"a\",device=\"/dev/sdc\",fstype=\"xfs\",mountpoint=\"/ro\"} 1\n\
        node_network_up{agent=\"a\",device=\"eth0\"} 0\n\
        node_network_carrier{agent=\"a\",device=\"eth0\"} 1\n\
        node_network_up{agent=\"a\",device=\"eth1\"} 0\n\
        node_network_receive_bytes_total{agent=\"a\",device=\"eth0\"} 5e6\n\
        node_network_transmit_bytes_total{agent=\"a\",device=\"eth0\"} 7\n\
        node_network_receive_errs_total{agent=\"a\",device=\"eth0\"} 1\n\
        node_network_transmit_errs_total{agent=\"a\",device=\"eth0\"} 2\n\
        node_load1{agent=\"a\"} 1\n";

    #[test]
    fn fullest_filesystem_is_first_and_usage_is_that_of_df() {
        let devices = Devices::parse(PAGE);
        let found: Vec<_> = devices.filesystems.iter().map(|one| &*one.mountpoint).collect();
        assert_eq!(found, ["/x \"y\"", "/"]);
        assert_eq!(
            devices.filesystems.iter().map(Filesystem::usage).collect::<Vec<_>>(),
            [0.9, 0.5]
        );
    }

    #[test]
    fn interface_has_its_traffic_and_the_errors_of_both_directions() {
        let devices = Devices::parse(PAGE);
        let [eth0, eth1] = &devices.interfaces[..] else { panic!("{:?}", devices.interfaces) };
        assert_eq!((&*eth0.name, eth0.is_down(), eth0.errors), ("eth0", false, 3.0));
        assert_eq!((&*eth1.name, eth1.is_down()), ("eth1", true));
        assert_eq!(eth0.traffic, Traffic { received: 5e6, sent: 7.0 });
    }

    /// A host of containers has thousands of interfaces.
    #[test]
    fn devices_of_a_host_with_thousands_are_limited() {
        let mut page = String::new();
        for n in 0..5_000 {
            page.push_str(&format!("node_network_up{{device=\"veth{n}\"}} 1\n"));
            for field in ["size", "free", "avail"] {
                page.push_str(&format!("node_filesystem_{field}_bytes{{mountpoint=\"/{n}\"}} 1\n"));
            }
        }
        let devices = Devices::parse(&page);
        assert_eq!(
            (devices.filesystems.len(), devices.interfaces.len()),
            (MAX_DEVICES, MAX_DEVICES)
        );
    }
}
