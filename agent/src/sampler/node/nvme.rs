//! NVMe controllers and the namespaces they reach, from `/sys/class/nvme`.

use std::path::Path;

use fleetgauge_proto::report::ABSENT;

use super::column::{gauge, table};
use super::files::{Entries, Entry, KeptFile, parse};
use super::number::numbered;
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "nvme",
    by_default: true,
    options: &[],
    tables: |_| {
        vec![
            table(&INFO_LABELS, &INFO),
            table(&["device", "nsid", "ana_state"], &NAMESPACE_INFO),
            table(&["device", "nsid"], &NAMESPACE),
        ]
    },
    create: |options| {
        let controllers = Entries::new(options.sysfs("class/nvme"), Controller::new);
        Ok(Box::new(Nvme { controllers, read_errors: ReadErrors::new("nvme") }))
    },
};

/// Index of the table with the columns [`INFO`].
const INFO_TABLE: usize = 0;
/// Index of the table with the columns [`NAMESPACE_INFO`].
const NAMESPACE_INFO_TABLE: usize = 1;
/// Index of the table with the columns [`NAMESPACE`].
const NAMESPACE_TABLE: usize = 2;

const INFO_LABELS: [&str; 6] =
    ["device", "firmware_revision", "model", "serial", "state", "cntlid"];

/// The files of the labels after `device`.
const INFO_FILES: [&str; 5] = ["firmware_rev", "model", "serial", "state", "cntlid"];

const INFO: [ColumnSpec; 1] =
    [gauge("node_nvme_info", "Properties of the controller as labels; always 1.")];

const NAMESPACE_INFO: [ColumnSpec; 1] =
    [gauge("node_nvme_namespace_info", "Access state of the namespace as a label; always 1.")];

#[rustfmt::skip] // one line each
const NAMESPACE: [ColumnSpec; 4] = [
    gauge("node_nvme_namespace_capacity_bytes", "Capacity of the namespace."),
    gauge("node_nvme_namespace_size_bytes", "Size of the namespace."),
    gauge("node_nvme_namespace_used_bytes", "Space in use in the namespace."),
    gauge("node_nvme_namespace_logical_block_size_bytes", "Size of a logical block."),
];

#[derive(Debug)]
struct Nvme {
    controllers: Entries<Controller>,
    read_errors: ReadErrors,
}

#[derive(Debug)]
struct Controller {
    info: [KeptFile; INFO_FILES.len()],
    namespaces: Entries<Namespace>,
}

#[derive(Debug)]
struct Namespace {
    size: KeptFile,
    used: KeptFile,
    block_size: KeptFile,
    ana_state: KeptFile,
}

impl Source for Nvme {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { controllers, read_errors } = self;
        for Entry { name, kept: controller, .. } in controllers.list(|_| true)? {
            let read = controller.read(name, read_errors, output);
            read_errors.check(read);
        }
        read_errors.finish()
    }
}

impl Controller {
    fn new(path: &Path) -> Self {
        Self {
            info: INFO_FILES.map(|file| KeptFile::new(path.join(file))),
            namespaces: Entries::new(path, Namespace::new),
        }
    }

    /// Reads the controller and its namespaces.
    fn read(
        &mut self,
        name: &str,
        read_errors: &mut ReadErrors,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        self.read_info(name, output)?;
        for namespace in self.namespaces.list_if_exists(|name| id(name).is_some())? {
            let id = id(&namespace.name).unwrap_or_default();
            read_errors.check(namespace.kept.read(name, id, output));
        }
        Ok(())
    }

    fn read_info(&mut self, device: &str, output: &mut Output) -> Result<(), SourceError> {
        let mut labels = [device; INFO_LABELS.len()];
        for (label, file) in labels.iter_mut().skip(1).zip(&mut self.info) {
            *label = file.read()?.trim();
        }
        output.row(INFO_TABLE, &labels)[0] = 1.0;
        Ok(())
    }
}

impl Namespace {
    fn new(path: &Path) -> Self {
        Self {
            size: KeptFile::new(path.join("size")),
            used: KeptFile::new(path.join("nuse")),
            block_size: KeptFile::new(path.join("queue/logical_block_size")),
            ana_state: KeptFile::new(path.join("ana_state")),
        }
    }

    fn read(&mut self, device: &str, id: &str, output: &mut Output) -> Result<(), SourceError> {
        let ana_state = self.ana_state.value().unwrap_or("unknown");
        // The file has 512-byte sectors; node_exporter takes them for logical blocks.
        let size = number_or_zero(&mut self.size)?;
        let block_size = number_or_zero(&mut self.block_size)?;
        // Kernels before 6.8 do not have the file.
        let used = self.used.value().map(|used| parse(used).unwrap_or(0.0));
        output.row(NAMESPACE_INFO_TABLE, &[device, id, ana_state])[0] = 1.0;
        let used = used.map_or(ABSENT, |used| used * block_size);
        let values = [size * block_size, size * block_size, used, block_size];
        output.row(NAMESPACE_TABLE, &[device, id]).copy_from_slice(&values);
        Ok(())
    }
}

/// Reads the number of a file that must exist; 0 if it is no number.
fn number_or_zero(file: &mut KeptFile) -> Result<f64, SourceError> {
    Ok(parse(file.read()?).unwrap_or(0.0))
}

/// Returns the namespace id in the name of a namespace that a controller reaches: `nvme0c1n2`.
fn id(name: &str) -> Option<&str> {
    let (subsystem, rest) = name.strip_prefix("nvme")?.split_once('c')?;
    let (controller, id) = rest.split_once('n')?;
    [subsystem, controller, id].into_iter().all(|text| numbered(text, "").is_some()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const CONTROLLER: &str = "sys/class/nvme/nvme0";

    fn add_controller(fixture: &Fixture) {
        let files = [
            ("firmware_rev", "1B2QEXP7\n"),
            ("model", "Example \"Disk\" 512GB   \n"),
            ("serial", "S680HF8N190894I     \n"),
            ("state", "live\n"),
            ("cntlid", "1997\n"),
        ];
        fixture.files(CONTROLLER, &files);
    }

    fn add_namespace(fixture: &Fixture, name: &str) {
        let files = [
            ("size", "3907029168\n"),
            ("nuse", "488281250\n"),
            ("queue/logical_block_size", "4096\n"),
        ];
        fixture.files(&format!("{CONTROLLER}/{name}"), &files);
    }

    const INFO_LINE: &str = "node_nvme_info{cntlid=\"1997\",device=\"nvme0\",\
        firmware_revision=\"1B2QEXP7\",model=\"Example \\\"Disk\\\" 512GB\",\
        serial=\"S680HF8N190894I\",state=\"live\"} 1";

    #[test]
    fn controllers_and_their_namespaces_are_read() {
        let fixture = Fixture::new();
        add_controller(&fixture);
        add_namespace(&fixture, "nvme0c0n1");
        fixture.file(&format!("{CONTROLLER}/nvme0c0n1/ana_state"), "optimized\n");
        for other in ["nvme0n2", "nvmexc0n1", "nvme0cn1", "nvme0c0n1p1", "nvme0c0n", "power"] {
            add_namespace(&fixture, other);
        }
        let labels = "{device=\"nvme0\",nsid=\"1\"}";
        let expected = [
            INFO_LINE.to_owned(),
            format!("node_nvme_namespace_capacity_bytes{labels} 16003191472128"),
            "node_nvme_namespace_info{ana_state=\"optimized\",device=\"nvme0\",nsid=\"1\"} 1"
                .into(),
            format!("node_nvme_namespace_logical_block_size_bytes{labels} 4096"),
            format!("node_nvme_namespace_size_bytes{labels} 16003191472128"),
            format!("node_nvme_namespace_used_bytes{labels} 2000000000000"),
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn access_state_is_unknown_without_its_file() {
        let fixture = Fixture::new();
        add_controller(&fixture);
        add_namespace(&fixture, "nvme0c12n34");
        let expected =
            "node_nvme_namespace_info{ana_state=\"unknown\",device=\"nvme0\",nsid=\"34\"} 1";
        assert!(fixture.samples(&COLLECTOR).iter().any(|line| line == expected));
    }

    #[test]
    fn removed_namespaces_and_controllers_disappear() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        add_controller(&fixture);
        add_namespace(&fixture, "nvme0c0n1");
        assert_eq!(reader.samples().len(), 6);
        fixture.remove(&format!("{CONTROLLER}/nvme0c0n1"));
        assert_eq!(reader.samples(), [INFO_LINE]);
        fixture.remove(CONTROLLER);
        assert!(reader.samples().is_empty());
    }

    #[test]
    fn broken_controller_and_namespace_cost_only_themselves() {
        let fixture = Fixture::new();
        add_controller(&fixture);
        for namespace in ["nvme0c0n1", "nvme0c0n2", "nvme0c0n3"] {
            add_namespace(&fixture, namespace);
        }
        fixture.remove(&format!("{CONTROLLER}/nvme0c0n1/size"));
        fixture.remove(&format!("{CONTROLLER}/nvme0c0n2/nuse"));
        fixture.directory("sys/class/nvme/nvme1");
        let samples = fixture.samples(&COLLECTOR);
        let of = |id: &str| samples.iter().filter(|line| line.contains(id)).count();
        let [first, second, third] = ["1", "2", "3"].map(|id| of(&format!("nsid=\"{id}\"")));
        assert_eq!([first, second, third], [0, 4, 5], "{samples:#?}");
        assert_eq!(samples.len(), 1 + 4 + 5);
        let used = "node_nvme_namespace_used_bytes{device=\"nvme0\",nsid=\"2\"}";
        assert!(!samples.iter().any(|line| line.starts_with(used)), "Linux 6.7 has no nuse");
    }

    #[test]
    fn missing_file_is_an_error_and_binary_ones_are_not() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        add_controller(&fixture);
        fixture.remove(&format!("{CONTROLLER}/serial"));
        assert!(reader.error().to_string().contains("nvme0/serial: "));
        add_controller(&fixture);
        add_namespace(&fixture, "nvme0c0n1");
        fixture.bytes(&format!("{CONTROLLER}/nvme0c0n1/size"), b"\xff\0");
        fixture.bytes(&format!("{CONTROLLER}/state"), b"l\xffve");
        let samples = reader.samples();
        assert!(samples[0].contains("state=\"l\u{fffd}ve\""), "{samples:?}");
        let size = "node_nvme_namespace_size_bytes{device=\"nvme0\",nsid=\"1\"} 0";
        assert!(samples.iter().any(|line| line == size));
    }
}
