//! Throttling, online and isolated CPUs, from `/sys/devices/system/cpu`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{CORES, ISOLATED, MAX_CPUS, ONLINE, PACKAGES};
use crate::sampler::node::NodeOptions;
use crate::sampler::node::files::{Directory, KeptFile};
use crate::sampler::node::number::{cpu_list, numbered, whole};
use crate::tables::Output;

/// Reads files of CPUs. Which files exist changes only when a CPU goes online or offline: only then
/// are they looked for.
#[derive(Debug)]
pub(super) struct CpuDevices {
    path: PathBuf,
    directory: Directory,
    /// The list of CPUs that are online.
    list: KeptFile,
    /// The list when the files were looked for. `None`: never.
    listed: Option<Box<str>>,
    /// Throttle counts of cores: package, core.
    cores: Vec<([Box<str>; 2], KeptFile)>,
    /// Throttle counts of packages.
    packages: Vec<(Box<str>, KeptFile)>,
    /// Whether CPUs are online. Empty if the first CPU has no such file.
    online: Vec<(Box<str>, KeptFile)>,
}

impl CpuDevices {
    pub(super) fn new(options: &NodeOptions) -> Self {
        let path = options.sysfs("devices/system/cpu");
        Self {
            directory: Directory::new(&path),
            list: KeptFile::new(path.join("online")),
            path,
            listed: None,
            cores: Vec::new(),
            packages: Vec::new(),
            online: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, output: &mut Output) {
        let list = self.list.value().unwrap_or_default();
        if self.listed.as_deref() != Some(list) {
            self.listed = Some(list.into());
            self.find_files();
        }
        let mut complete = true;
        let mut count = |file: &mut KeptFile| {
            let count = file.value().and_then(whole);
            complete &= count.is_some();
            count
        };
        for ([package, core], file) in &mut self.cores {
            if let Some(count) = count(file) {
                output.row(CORES, &[package, core])[0] = count;
            }
        }
        for (package, file) in &mut self.packages {
            if let Some(count) = count(file) {
                output.row(PACKAGES, &[package])[0] = count;
            }
        }
        for (cpu, file) in &mut self.online {
            output.row(ONLINE, &[cpu])[0] = f64::from(file.value() == Some("1"));
        }
        if !complete {
            self.listed = None;
        }
    }

    /// Looks for the files of all CPUs.
    fn find_files(&mut self) {
        self.cores.clear();
        self.packages.clear();
        self.online.clear();
        let mut cpus: Vec<String> = Vec::new();
        // Without the directory there are no files.
        let _ = self.directory.list(|name| {
            if cpu_number(name).is_some() && cpus.len() < MAX_CPUS {
                cpus.push(name.to_owned());
            }
        });
        cpus.sort_unstable();
        let has_online = cpus.first().is_some_and(|cpu| self.online_file(cpu).value().is_some());
        let (mut seen_cores, mut seen_packages) = (BTreeSet::new(), BTreeSet::new());
        for cpu in &cpus {
            if has_online {
                let number = cpu_number(cpu).unwrap_or_default();
                self.online.push((number.into(), self.online_file(cpu)));
            }
            let path = self.path.join(cpu);
            let topology = |file| number_in(&path.join("topology").join(file));
            let Some(package) = topology("physical_package_id") else { continue };
            let Some(core) = topology("core_id") else { continue };
            // All CPUs of a core or package have the same count: the first one is enough.
            if !seen_cores.contains(&(package, core))
                && let Some(file) = counting_file(&path, "core_throttle_count")
            {
                seen_cores.insert((package, core));
                self.cores.push(([package, core].map(|id| id.to_string().into()), file));
            }
            if !seen_packages.contains(&package)
                && let Some(file) = counting_file(&path, "package_throttle_count")
            {
                seen_packages.insert(package);
                self.packages.push((package.to_string().into(), file));
            }
        }
    }

    fn online_file(&self, cpu: &str) -> KeptFile {
        KeptFile::new(self.path.join(cpu).join("online"))
    }
}

/// Returns the number of a CPU, as text, of the name of its directory.
fn cpu_number(name: &str) -> Option<&str> {
    numbered(name, "cpu")
}

/// Reads a file with a number.
fn number_in(path: &Path) -> Option<u64> {
    KeptFile::new(path).value()?.parse().ok()
}

/// Returns the file of a CPU with a throttle count, if it has a number.
fn counting_file(cpu: &Path, name: &str) -> Option<KeptFile> {
    let mut file = KeptFile::new(cpu.join("thermal_throttle").join(name));
    file.value().and_then(whole).is_some().then_some(file)
}

/// The CPUs that are isolated. They are set when the host boots.
#[derive(Debug)]
pub(super) struct Isolated(Vec<Box<str>>);

impl Isolated {
    pub(super) fn read(options: &NodeOptions) -> Self {
        let mut file = KeptFile::new(options.sysfs("devices/system/cpu/isolated"));
        let cpus = file.value().and_then(|list| cpu_list(list, MAX_CPUS)).unwrap_or_default();
        Self(cpus.iter().map(|cpu| cpu.to_string().into()).collect())
    }

    pub(super) fn write(&self, output: &mut Output) {
        for cpu in &self.0 {
            output.row(ISOLATED, &[cpu])[0] = 1.0;
        }
    }
}
