//! Batteries and other power supplies, from `/sys/class/power_supply`.

mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use self::properties::{INFO_LABELS, properties};
use super::column::{gauge, table};
use super::every::EveryNth;
use super::files::{DeviceFiles, Directory, KeptFile};
use super::filter::Filter;
use super::{Collector, NodeOption, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

const IGNORED: &str = "powersupply.ignored-supplies";
/// Number of readings after which the files of supplies are searched again: another battery may
/// have other ones.
const READINGS_PER_SEARCH: u32 = 100;

pub(super) const COLLECTOR: Collector = Collector {
    name: "powersupplyclass",
    by_default: true,
    options: &[NodeOption { name: IGNORED, kind: OptionKind::Pattern, default: "^$" }],
    tables: |_| {
        let columns: Vec<_> = properties().map(|property| property.column()).collect();
        vec![table(&["power_supply"], &columns), table(&INFO_LABELS, &INFO)]
    },
    create: |options| {
        Ok(Box::new(PowerSupplies {
            devices: DeviceFiles::of_files(options.sysfs("class/power_supply"), &[]),
            filter: options.filter("", IGNORED),
            supplies: BTreeMap::new(),
            search: EveryNth::new(READINGS_PER_SEARCH),
        }))
    },
};

const INFO: [ColumnSpec; 1] = [gauge("node_power_supply_info", "The power supply: always 1.")];

#[derive(Debug)]
struct PowerSupplies {
    devices: DeviceFiles,
    filter: Filter,
    supplies: BTreeMap<String, Supply>,
    search: EveryNth,
}

/// The files that a supply has: a fraction of those that there are.
#[derive(Debug)]
struct Supply {
    /// Files with numbers: index of the column, divisor and file.
    numbers: Vec<(usize, f64, KeptFile)>,
    /// Files with texts and the index of their label.
    texts: Vec<(usize, KeptFile)>,
}

impl Source for PowerSupplies {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { devices, filter, supplies, search } = self;
        if search.is_due() {
            supplies.clear();
        }
        let devices = devices.list(|name| filter.selects(name))?;
        supplies
            .retain(|known, _| devices.binary_search_by(|device| device.name().cmp(known)).is_ok());
        for device in devices {
            let name = device.name();
            if !supplies.contains_key(name) {
                supplies.insert(name.to_owned(), Supply::find(device.path()));
            }
            if let Some(supply) = supplies.get_mut(name) {
                supply.read(name, output);
            }
        }
        Ok(())
    }
}

impl Supply {
    /// Finds the files of a supply.
    fn find(directory: &Path) -> Self {
        let mut supply = Self { numbers: Vec::new(), texts: Vec::new() };
        let listed = Directory::new(directory).list(|name| {
            let file = || KeptFile::new(directory.join(name));
            let mut properties = properties().enumerate();
            if let Some((at, property)) = properties.find(|(_, property)| property.file == name) {
                supply.numbers.push((at, property.divisor, file()));
            } else if let Some(at) = INFO_LABELS.iter().skip(1).position(|label| *label == name) {
                supply.texts.push((at + 1, file()));
            }
        });
        // A supply that is gone has no files.
        listed.unwrap_or_default();
        supply
    }

    fn read(&mut self, name: &str, output: &mut Output) {
        let row = output.row(0, &[name]);
        for (at, divisor, file) in &mut self.numbers {
            // Drivers answer properties that they do not know at the moment with errors.
            if let (Some(cell), Some(number)) = (row.get_mut(*at), file.number()) {
                *cell = number / *divisor;
            }
        }
        let mut labels = [name; INFO_LABELS.len()];
        labels[1..].fill("");
        for (at, file) in &mut self.texts {
            if let (Some(label), Some(text)) = (labels.get_mut(*at), file.value()) {
                *label = text;
            }
        }
        output.row(1, &labels).fill(1.0);
    }
}
