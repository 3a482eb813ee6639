//! Bonds of network devices, from `/sys/class/net`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::column::{gauge, table};
use super::files::KeptFile;
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "bonding",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&["master"], &COLUMNS)],
    create: |options| {
        let directory = options.sysfs("class/net");
        let masters = KeptFile::new(directory.join("bonding_masters"));
        let read_errors = ReadErrors::new("bonding");
        Ok(Box::new(Bonding { directory, masters, bonds: BTreeMap::new(), read_errors }))
    },
};

const COLUMNS: [ColumnSpec; 2] = [
    gauge("node_bonding_slaves", "Devices that belong to the bond."),
    gauge("node_bonding_active", "Devices that belong to the bond and whose link is up."),
];

/// Maximum number of bonds, and of devices in a bond. Further ones are ignored.
const MAX_DEVICES: usize = 1_000;

#[derive(Debug)]
struct Bonding {
    directory: PathBuf,
    /// The file with the names of all bonds.
    masters: KeptFile,
    bonds: BTreeMap<String, Bond>,
    read_errors: ReadErrors,
}

/// The files of a bond.
#[derive(Debug)]
struct Bond {
    directory: PathBuf,
    /// The file with the names of its devices.
    slaves: KeptFile,
    states: BTreeMap<String, StateFiles>,
}

/// The files with the state of a device: of current kernels, and of old ones.
#[derive(Debug)]
struct StateFiles([KeptFile; 2]);

impl Source for Bonding {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { directory, masters, bonds, read_errors } = self;
        // The file does not exist until the kernel module is loaded.
        let masters = masters.read_if_exists()?.ok_or(SourceError::NothingFound)?;
        bonds.retain(|name, _| names(masters).any(|master| master == name));
        for master in names(masters) {
            if !bonds.contains_key(master) {
                bonds.insert(master.to_owned(), Bond::new(directory.join(master)));
            }
            let Some(bond) = bonds.get_mut(master) else { continue };
            if let Some(counts) = read_errors.check(bond.read()) {
                output.row(0, &[master]).copy_from_slice(&counts);
            }
        }
        read_errors.finish()
    }
}

impl Bond {
    fn new(directory: PathBuf) -> Self {
        let slaves = KeptFile::new(directory.join("bonding/slaves"));
        Self { directory, slaves, states: BTreeMap::new() }
    }

    /// Returns the number of devices, and how many of them are up.
    fn read(&mut self) -> Result<[f64; 2], SourceError> {
        let Self { directory, slaves, states } = self;
        let slaves = slaves.read()?;
        states.retain(|name, _| names(slaves).any(|slave| slave == name));
        let mut counts = [0.0; 2];
        for slave in names(slaves) {
            if !states.contains_key(slave) {
                states.insert(slave.to_owned(), StateFiles::new(directory, slave));
            }
            if let Some(files) = states.get_mut(slave) {
                counts[0] += 1.0;
                counts[1] += f64::from(u8::from(files.is_up()?));
            }
        }
        Ok(counts)
    }
}

impl StateFiles {
    fn new(bond: &Path, slave: &str) -> Self {
        let file = |prefix| bond.join(format!("{prefix}_{slave}/bonding_slave/mii_status"));
        Self(["lower", "slave"].map(file).map(KeptFile::new))
    }

    fn is_up(&mut self) -> Result<bool, SourceError> {
        let [current, old] = &mut self.0;
        if let Some(state) = current.read_if_exists()? {
            return Ok(state.trim() == "up");
        }
        Ok(old.read()?.trim() == "up")
    }
}

/// Returns the names in a file. Names that are no names of files are skipped.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &&str| !name.contains('/') && !matches!(*name, "." | "..");
    text.split_ascii_whitespace().filter(is_name).take(MAX_DEVICES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    fn host() -> Fixture {
        let fixture = Fixture::new();
        let files = [
            ("bonding_masters", "bond0 dmz\n"),
            ("bond0/bonding/slaves", "\n"),
            ("dmz/bonding/slaves", "eth0 eth4 eth5\n"),
            ("dmz/lower_eth0/bonding_slave/mii_status", "up\n"),
            ("dmz/lower_eth4/bonding_slave/mii_status", "down\n"),
            ("dmz/slave_eth5/bonding_slave/mii_status", "up\n"),
        ];
        fixture.files("sys/class/net", &files);
        fixture
    }

    #[test]
    fn devices_of_all_bonds_are_counted() {
        let fixture = host();
        let mut reader = fixture.reader(&COLLECTOR);
        let expected = [
            "node_bonding_active{master=\"bond0\"} 0",
            "node_bonding_active{master=\"dmz\"} 2",
            "node_bonding_slaves{master=\"bond0\"} 0",
            "node_bonding_slaves{master=\"dmz\"} 3",
        ];
        assert_eq!(reader.samples(), expected);
        fixture.file("sys/class/net/bonding_masters", "dmz ../dmz ..\n");
        fixture.file("sys/class/net/dmz/bonding/slaves", "eth4\n");
        let expected =
            ["node_bonding_active{master=\"dmz\"} 0", "node_bonding_slaves{master=\"dmz\"} 1"];
        assert_eq!(reader.samples(), expected);
    }

    #[test]
    fn host_without_module_has_nothing() {
        let fixture = Fixture::new();
        assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
        fixture.file("sys/class/net/bonding_masters", "");
        assert!(fixture.samples(&COLLECTOR).is_empty());
    }

    #[test]
    fn bond_with_a_missing_state_costs_only_itself() {
        let fixture = host();
        let mut reader = fixture.reader(&COLLECTOR);
        fixture.remove("sys/class/net/dmz/slave_eth5");
        let expected =
            ["node_bonding_active{master=\"bond0\"} 0", "node_bonding_slaves{master=\"bond0\"} 0"];
        assert_eq!(reader.samples(), expected);
        fixture.bytes("sys/class/net/bonding_masters", b"a\xff\0\"\n");
        reader.error();
    }
}
