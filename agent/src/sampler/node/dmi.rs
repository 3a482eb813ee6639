//! Names and versions of the machine and its firmware, from `/sys/class/dmi/id`.

use std::path::PathBuf;

use super::column::{gauge, table};
use super::files::KeptFile;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "dmi",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&LABELS, &COLUMNS)],
    create: |options| Ok(Box::new(Dmi { directory: options.sysfs("class/dmi/id"), values: None })),
};

/// Labels. The files have the same names, but for `system_vendor`.
const LABELS: [&str; 20] = [
    "bios_date",
    "bios_release",
    "bios_vendor",
    "bios_version",
    "board_asset_tag",
    "board_name",
    "board_serial",
    "board_vendor",
    "board_version",
    "chassis_asset_tag",
    "chassis_serial",
    "chassis_vendor",
    "chassis_version",
    "product_family",
    "product_name",
    "product_serial",
    "product_sku",
    "product_uuid",
    "product_version",
    "system_vendor",
];

const COLUMNS: [ColumnSpec; 1] =
    [gauge("node_dmi_info", "The machine and its firmware as the firmware names them: always 1.")];

#[derive(Debug)]
struct Dmi {
    directory: PathBuf,
    /// Values of the labels; `None` until they are read. They cannot change while the host runs.
    values: Option<Values>,
}

/// Values of the labels; `None` if no file can be read.
type Values = Option<[String; LABELS.len()]>;

impl Dmi {
    fn read_files(&self) -> Values {
        let mut found = false;
        let values = LABELS.map(|label| {
            let file = if label == "system_vendor" { "sys_vendor" } else { label };
            let mut file = KeptFile::new(self.directory.join(file));
            // Only root can read serial numbers.
            let value = file.value().map(str::to_owned);
            found |= value.is_some();
            value.unwrap_or_default()
        });
        found.then_some(values)
    }
}

impl Source for Dmi {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        if self.values.is_none() {
            self.values = Some(self.read_files());
        }
        let values = self.values.as_ref().and_then(Option::as_ref);
        let values = values.ok_or(SourceError::NothingFound)?;
        output.row(0, &values.each_ref().map(String::as_str)).fill(1.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn readable_files_are_labels_and_are_read_once() {
        let fixture = Fixture::new();
        let files = [
            ("bios_vendor", "Dell Inc.\n"),
            ("product_name", "  PowerEdge \"R6515\"  \n"),
            ("product_sku", "\n"),
            ("sys_vendor", "Dell\n"),
            ("modalias", "dmi:x\n"),
        ];
        fixture.files("sys/class/dmi/id", &files);
        fixture.directory("sys/class/dmi/id/power");
        fixture.bytes("sys/class/dmi/id/board_name", b"0\xff");
        let mut reader = fixture.reader(&COLLECTOR);
        let expected = concat!(
            r#"node_dmi_info{bios_vendor="Dell Inc.",board_name="0�","#,
            r#"product_name="PowerEdge \"R6515\"",system_vendor="Dell"} 1"#
        );
        assert_eq!(reader.samples(), [expected]);
        fixture.remove("sys/class/dmi/id");
        assert_eq!(reader.samples(), [expected]);
    }

    #[test]
    fn host_without_files_has_nothing() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        assert_eq!(reader.error(), SourceError::NothingFound);
    }
}
