//! Modes of SELinux.

use std::path::PathBuf;

use super::column::{gauge, table};
use super::every::{Every, RARELY};
use super::files::KeptFile;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "selinux",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        Ok(Box::new(SeLinux {
            enforce: KeptFile::new(options.sysfs("fs/selinux/enforce")),
            context: KeptFile::new(options.procfs("self/attr/current")),
            config: options.rootfs("/etc/selinux/config"),
            rarely: Every::new(RARELY),
            enabled: false,
            config_mode: DISABLED,
        }))
    },
};

const COLUMNS: [ColumnSpec; 3] = [
    gauge("node_selinux_enabled", "Whether SELinux is enabled."),
    gauge(
        "node_selinux_config_mode",
        "Mode after the next boot: 1 enforcing, 0 permissive, -1 disabled.",
    ),
    gauge("node_selinux_current_mode", "Mode: 1 enforcing, 0 permissive, -1 disabled."),
];

/// Value of the mode `disabled`.
const DISABLED: f64 = -1.0;
/// Security context of a process before a policy is loaded.
const NO_POLICY: &str = "kernel";

#[derive(Debug)]
struct SeLinux {
    /// The current mode, in the filesystem of SELinux.
    enforce: KeptFile,
    /// The security context of this process.
    context: KeptFile,
    config: PathBuf,
    /// SELinux is enabled when the host boots.
    rarely: Every,
    enabled: bool,
    config_mode: f64,
}

impl Source for SeLinux {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        if self.rarely.is_due() {
            self.enabled = self.enforce.value().is_some()
                && self.context.value().map(|text| text.trim_end_matches('\0')) != Some(NO_POLICY);
            // Editors replace the file, so that it does not stay open.
            self.config_mode = config_mode(KeptFile::new(&self.config).value().unwrap_or_default());
        }
        let row = output.row(0, &[]);
        row[0] = f64::from(self.enabled);
        if self.enabled {
            row[1] = self.config_mode;
            row[2] = match self.enforce.value() {
                Some("1") => 1.0,
                Some("0") => 0.0,
                _ => DISABLED,
            };
        }
        Ok(())
    }
}

/// Returns the mode that the settings of SELinux ask for.
fn config_mode(config: &str) -> f64 {
    let value = config.lines().find_map(|line| line.trim().strip_prefix("SELINUX="));
    match value.map(|value| value.trim_matches('"')) {
        Some("enforcing") => 1.0,
        Some("permissive") => 0.0,
        _ => DISABLED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn host_without_selinux_has_only_whether_it_is_enabled() {
        let fixture = Fixture::new();
        fixture.file("root/etc/selinux/config", "SELINUX=enforcing\n");
        assert_eq!(fixture.samples(&COLLECTOR), ["node_selinux_enabled 0"]);
        fixture.file("sys/fs/selinux/enforce", "0");
        fixture.file("proc/self/attr/current", "kernel\0");
        assert_eq!(fixture.samples(&COLLECTOR), ["node_selinux_enabled 0"]);
    }

    #[test]
    fn modes_are_read() {
        let fixture = Fixture::new();
        fixture.file("root/etc/selinux/config", "# SELINUX=disabled\n SELINUX=\"permissive\"\n");
        fixture.file("sys/fs/selinux/enforce", "1");
        fixture.file("proc/self/attr/current", "system_u:system_r:agent_t:s0\0");
        let mut reader = fixture.reader(&COLLECTOR);
        let expected =
            ["node_selinux_config_mode 0", "node_selinux_current_mode 1", "node_selinux_enabled 1"];
        assert_eq!(reader.samples(), expected);
        fixture.file("sys/fs/selinux/enforce", "0");
        assert_eq!(reader.samples()[1], "node_selinux_current_mode 0");
    }

    #[test]
    fn anything_else_is_disabled() {
        for config in ["", "SELINUX=\n", "SELINUX", "SELINUXTYPE=targeted\n", "\0SELINUX=enforcing"]
        {
            assert_eq!(config_mode(config), DISABLED, "{config:?}");
        }
        assert_eq!(config_mode("SELINUXTYPE=x\nSELINUX=enforcing"), 1.0);
        let fixture = Fixture::new();
        fixture.file("sys/fs/selinux/enforce", "x");
        let lines = fixture.samples(&COLLECTOR);
        assert_eq!(lines[..2], ["node_selinux_config_mode -1", "node_selinux_current_mode -1"]);
    }
}
