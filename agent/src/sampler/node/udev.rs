//! Properties of a device in udev's data, such as `/run/udev/data/b8:0`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Maximum number of bytes to read from a file. Disks have a few kilobytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Properties of a device, all of them empty without udev.
#[derive(Debug, Default)]
pub(super) struct Properties {
    text: String,
}

impl Properties {
    /// Reads the properties in a file. A file that cannot be read has none.
    pub(super) fn read(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
        match read {
            Ok(_) => Self { text: String::from_utf8_lossy(&bytes).into_owned() },
            Err(_) => Self::default(),
        }
    }

    /// Returns the value of a property; empty if the device does not have it.
    pub(super) fn get(&self, name: &str) -> &str {
        let property = |line| str::split_once(str::strip_prefix(line, "E:")?, '=');
        let mut properties = self.text.lines().filter_map(property);
        properties.rfind(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    /// Returns the value of the first of these properties that is not empty.
    pub(super) fn first_of(&self, names: &[&str]) -> &str {
        names.iter().map(|name| self.get(name)).find(|value| !value.is_empty()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn values_may_contain_anything_but_newlines() {
        let fixture = Fixture::new();
        let text = b"S:disk/by-id/x\nI:12\nE:A=1\nE:B=x=\"y\" \xff\nE:A=2\nE:C\nE:=3\nE:D=";
        fixture.bytes("udev/b8:0", text);
        let properties = Properties::read(&fixture.path("udev/b8:0"));
        assert_eq!(properties.get("A"), "2", "the last one counts");
        assert_eq!(properties.get("B"), "x=\"y\" \u{fffd}");
        assert_eq!([properties.get("C"), properties.get("S"), properties.get("D")], [""; 3]);
        assert_eq!(properties.first_of(&["D", "A", "B"]), "2");
    }

    #[test]
    fn missing_file_has_no_properties_and_a_huge_one_is_cut() {
        let fixture = Fixture::new();
        assert_eq!(Properties::read(&fixture.path("udev/b8:0")).get("A"), "");
        fixture.file("udev/b8:0", &"E:A=1\n".repeat(100_000));
        assert_eq!(Properties::read(&fixture.path("udev/b8:0")).text.len() as u64, MAX_BYTES);
    }
}
