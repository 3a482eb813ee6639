//! Readings of the host, for the sets with a fixed number of values.

#[cfg(target_os = "linux")]
use super::linux as system;
#[cfg(not(target_os = "linux"))]
use super::portable as system;
use super::{Cpu, Filesystem, Memory, SourceError, filesystem};

/// A part of the host that is read on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostPart {
    Cpu,
    Memory,
    Filesystem,
}

/// Reads a part of the host. Reading may block for ever.
pub(crate) trait HostReader: Send {
    /// Reads it. After an error it is read again in the next round.
    fn read(&mut self) -> Result<Reading, SourceError>;
}

/// Creates the reader of a part of this host.
pub(crate) fn host_reader(part: HostPart) -> Result<Box<dyn HostReader>, SourceError> {
    Ok(match part {
        HostPart::Cpu => Box::new(system::CpuReader::new()?),
        HostPart::Memory => Box::new(system::MemoryReader::new()?),
        HostPart::Filesystem => Box::new(filesystem::FilesystemReader::new()?),
    })
}

/// The reading of one part of the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reading {
    Cpu(Cpu),
    Memory(Memory),
    Filesystem(Filesystem),
}

/// Readings of the host; `None` for what was not read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Readings {
    /// CPU usage.
    pub cpu: Option<Cpu>,
    /// Memory usage.
    pub memory: Option<Memory>,
    /// Usage of the root filesystem or the system drive.
    pub filesystem: Option<Filesystem>,
}

impl Readings {
    /// Returns the readings with this one only.
    pub(crate) fn of(reading: Reading) -> Self {
        let none = Self::default();
        match reading {
            Reading::Cpu(cpu) => Self { cpu: Some(cpu), ..none },
            Reading::Memory(memory) => Self { memory: Some(memory), ..none },
            Reading::Filesystem(filesystem) => Self { filesystem: Some(filesystem), ..none },
        }
    }
}
