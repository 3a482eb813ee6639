//! Energy counters of processors (RAPL), from `/sys/class/powercap`.

use std::collections::BTreeMap;
use std::path::Path;

use fleetgauge_proto::catalog::FamilyKind;

use super::column::{counter, table};
use super::files::DeviceFiles;
use super::{Collector, NodeOption, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, FoundFamily, Output};

const ZONE_LABEL: &str = "rapl.enable-zone-label";

pub(super) const COLLECTOR: Collector = Collector {
    name: "rapl",
    by_default: true,
    options: &[NodeOption { name: ZONE_LABEL, kind: OptionKind::Switch, default: "false" }],
    tables: |options| match options.switch(ZONE_LABEL) {
        true => vec![table(&["index", "path", "rapl_zone"], &LABELLED)],
        false => vec![table(&["index", "path"], &NAMED)],
    },
    create: |options| {
        Ok(Box::new(Rapl {
            zones: DeviceFiles::new(options.sysfs("class/powercap"), &["name", "energy_uj"]),
            has_zone_label: options.switch(ZONE_LABEL),
        }))
    },
};

/// Families of zones that most processors have. All others are found.
const NAMED: [ColumnSpec; 5] = [
    counter("node_rapl_package_joules_total", "Energy used by the processor package.").decimals(6),
    counter("node_rapl_core_joules_total", "Energy used by the processor cores.").decimals(6),
    counter("node_rapl_uncore_joules_total", "Energy used by the graphics unit.").decimals(6),
    counter("node_rapl_dram_joules_total", "Energy used by the memory.").decimals(6),
    counter("node_rapl_psys_joules_total", "Energy used by the whole platform.").decimals(6),
];
const LABELLED: [ColumnSpec; 1] =
    [counter("node_rapl_joules_total", "Energy used by the zone.").decimals(6)];

const MICROJOULES_PER_JOULE: f64 = 1e6;

#[derive(Debug)]
struct Rapl {
    zones: DeviceFiles,
    has_zone_label: bool,
}

impl Source for Rapl {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let (mut zones, mut readings) = (0, 0);
        let mut indexes = BTreeMap::new();
        for device in self.zones.list(|_| true)? {
            // Control types, such as `intel-rapl`, have no name.
            let Some(name) = device.value(0) else { continue };
            let (index, name) = zone(name, &mut indexes);
            zones += 1;
            // Only root can read it: power tells something about the data that is processed.
            let Some(energy) = device.number(1) else { continue };
            readings += 1;
            let (path, joules) = (device.path(), energy / MICROJOULES_PER_JOULE);
            write(self.has_zone_label, (&name, index, path), joules, output);
        }
        if zones > 0 && readings == 0 { Err(SourceError::NothingFound) } else { Ok(()) }
    }
}

/// Writes the energy of the zone with this name, index and path.
fn write(has_label: bool, zone: (&str, i64, &Path), joules: f64, output: &mut Output) {
    let (name, index, path) = (zone.0, zone.1.to_string(), zone.2.to_string_lossy());
    if has_label {
        output.row(0, &[&index, &path, name]).fill(joules);
        return;
    }
    let name = format!("node_rapl_{}_joules_total", clean(name));
    match NAMED.iter().position(|column| column.family.name == name) {
        Some(column) => {
            if let Some(cell) = output.row(0, &[&index, &path]).get_mut(column) {
                *cell = joules;
            }
        }
        None => {
            let (kind, help) = (FamilyKind::CounterAsNamed, "Energy used by the zone.");
            let family = FoundFamily { name: &name, kind, help };
            output.sample(family, &[("index", &index), ("path", &path)], joules);
        }
    }
}

/// Returns the index and the name of a zone. The name may end in the index; otherwise zones of the
/// same name are counted.
fn zone(name: &str, indexes: &mut BTreeMap<String, i64>) -> (i64, String) {
    let with_index =
        name.split_once('-').and_then(|(name, index)| Some((index.parse().ok()?, name)));
    let (index, name) =
        with_index.unwrap_or_else(|| (indexes.get(name).copied().unwrap_or_default(), name));
    indexes.insert(name.to_owned(), index.saturating_add(1));
    (index, name.to_owned())
}

/// Returns a text in the characters of metric names.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::{Fixture, Reader};

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        fixture.file("sys/class/powercap/intel-rapl/enabled", "1\n");
        for (zone, name, energy) in [
            ("intel-rapl:0", "package-0\n", "240422366267\n"),
            ("intel-rapl:0:0", "core\n", "118821284256\n"),
            ("intel-rapl:1", "package-1\n", "5\n"),
            ("intel-rapl:1:0", "core\n", "1500000\n"),
            ("intel-rapl:1:1", "dram-0-x\n", "1000000\n"),
        ] {
            let files = [("name", name), ("energy_uj", energy)];
            fixture.files(&format!("sys/class/powercap/{zone}"), &files);
        }
        fixture
    }

    /// Returns samples with a short path.
    fn short(fixture: &Fixture, samples: &[String]) -> Vec<String> {
        let path = fixture.path("sys/class/powercap/intel-rapl");
        samples.iter().map(|line| line.replace(&*path.to_string_lossy(), "RAPL")).collect()
    }

    #[test]
    fn zones_are_read() {
        let fixture = fixture();
        assert_eq!(
            short(&fixture, &fixture.samples(&COLLECTOR)),
            [
                r#"node_rapl_core_joules_total{index="0",path="RAPL:0:0"} 118821.284256"#,
                r#"node_rapl_core_joules_total{index="1",path="RAPL:1:0"} 1.5"#,
                r#"node_rapl_dram_0_x_joules_total{index="0",path="RAPL:1:1"} 1"#,
                r#"node_rapl_package_joules_total{index="0",path="RAPL:0"} 240422.366267"#,
                r#"node_rapl_package_joules_total{index="1",path="RAPL:1"} 0.000005"#,
            ]
        );
    }

    #[test]
    fn zone_is_a_label_on_request() {
        let fixture = fixture();
        let options = fixture.options_with(&[(ZONE_LABEL, "true")]);
        let samples = short(&fixture, &Reader::new(&COLLECTOR, &options).samples());
        assert_eq!(samples.len(), 5);
        let line = r#"node_rapl_joules_total{index="1",path="RAPL:1:0",rapl_zone="core"} 1.5"#;
        assert!(samples.iter().any(|sample| sample == line), "{samples:#?}");
    }

    #[test]
    fn broken_zone_costs_only_itself() {
        let fixture = fixture();
        fixture.bytes("sys/class/powercap/intel-rapl:0/energy_uj", b"\xff");
        fixture.file("sys/class/powercap/intel-rapl:1:1/name", "a \"b\"\n\n");
        let samples = short(&fixture, &fixture.samples(&COLLECTOR));
        assert_eq!(samples.len(), 4);
        let line = r#"node_rapl_a__b__joules_total{index="0",path="RAPL:1:1"} 1"#;
        assert!(samples.iter().any(|sample| sample == line), "{samples:#?}");
    }

    #[test]
    fn host_without_readable_counters_has_nothing() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        fixture.directory("sys/class/powercap/intel-rapl");
        assert_eq!(reader.samples(), [""; 0]);
        fixture.file("sys/class/powercap/intel-rapl:0/name", "package-0\n");
        assert_eq!(reader.error(), SourceError::NothingFound);
    }
}
