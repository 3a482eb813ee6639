//! Names of the kernel and the host, from uname(2).

use rustix::system::Uname;

use super::column::{gauge, table};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "uname",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&LABELS, &COLUMNS)],
    create: |_| Ok(Box::new(Names)),
};

const LABELS: [&str; 6] = ["sysname", "release", "version", "machine", "nodename", "domainname"];
const COLUMNS: [ColumnSpec; 1] =
    [gauge("node_uname_info", "Names of the kernel and the host; always 1.")];

#[derive(Debug)]
struct Names;

impl Source for Names {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let names = rustix::system::uname();
        let labels = labels(&names).map(|name| name.to_string_lossy());
        output.row(0, &labels.each_ref().map(|name| &**name))[0] = 1.0;
        Ok(())
    }
}

/// Returns the label values.
fn labels(names: &Uname) -> [&std::ffi::CStr; LABELS.len()] {
    [
        names.sysname(),
        names.release(),
        names.version(),
        names.machine(),
        names.nodename(),
        names.domainname(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn there_is_one_series_with_the_names_of_this_host() {
        let lines = Fixture::new().samples(&COLLECTOR);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.starts_with("node_uname_info{") && line.ends_with("} 1"), "{line}");
        let names = rustix::system::uname();
        for (label, value) in LABELS.iter().zip(labels(&names)) {
            let label = format!("{label}={:?}", value.to_str().unwrap());
            assert!(value.is_empty() || line.contains(&label), "{label} in {line}");
        }
    }
}
