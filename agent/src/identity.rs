//! The agent's identity: its id, and nonces that identify the host's boot and the process.

use std::hash::{BuildHasher, RandomState};

use fleetgauge_proto::AgentId;
use sha2::{Digest, Sha256};

/// Prefix of the hash input, so that the hash of the machine id differs from that of other
/// programs.
const MACHINE_ID_CONTEXT: &[u8] = b"fleetgauge-agent machine-id v1\0";
/// Default host names, which many hosts share.
const SHARED_NAMES: [&str; 4] = ["", "localhost", "localhost.localdomain", "(none)"];

/// Source of the agent id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IdSource {
    /// The id that the operator set.
    Given(AgentId),
    /// The host name.
    #[default]
    HostName,
    /// A hash of the machine id. The machine id itself should not leave the host.
    MachineId,
}

/// The host has no usable id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The host name is not unique.
    #[error(
        "the host name {0:?} is not unique; give this host its own name, or set --id or \
         --id-from machine-id"
    )]
    SharedName(Box<str>),
    /// The host name is not a valid id.
    #[error(
        "the host name {0:?} is not a valid agent id (1 to 128 bytes of A-Z a-z 0-9 . _ : -); \
         set --id or --id-from machine-id"
    )]
    UnusableName(Box<str>),
    /// The machine id is missing or invalid.
    #[error("no machine id in /etc/machine-id; set --id or --id-from hostname")]
    NoMachineId,
}

/// Identifiers of the host and of its current boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Host name; `None` if it cannot be read.
    pub name: Option<String>,
    /// Contents of `/etc/machine-id`; `None` on systems without systemd or D-Bus.
    pub machine_id: Option<String>,
    /// Random id of the boot; `None` on other systems than Linux.
    pub boot_id: Option<String>,
}

impl Host {
    /// Reads the identifiers of this host.
    #[must_use]
    pub fn read() -> Self {
        let file = |path: &str| std::fs::read_to_string(path).ok();
        Self {
            // sysinfo fails for a host name of the maximum length.
            name: sysinfo::System::host_name().ok().or_else(|| file("/proc/sys/kernel/hostname")),
            machine_id: file("/etc/machine-id").or_else(|| file("/var/lib/dbus/machine-id")),
            boot_id: file("/proc/sys/kernel/random/boot_id"),
        }
    }

    /// Returns the agent id from `source`.
    ///
    /// # Errors
    /// The source has no usable id; the text says what to do.
    pub fn id(&self, source: &IdSource) -> Result<AgentId, IdentityError> {
        match source {
            IdSource::Given(id) => Ok(id.clone()),
            IdSource::HostName => self.id_from_name(),
            IdSource::MachineId => self.id_from_machine_id(),
        }
    }

    fn id_from_name(&self) -> Result<AgentId, IdentityError> {
        let name = self.name.as_deref().unwrap_or_default().trim();
        if SHARED_NAMES.iter().any(|shared| name.eq_ignore_ascii_case(shared)) {
            return Err(IdentityError::SharedName(name.into()));
        }
        AgentId::try_new(name).map_err(|_| IdentityError::UnusableName(name.into()))
    }

    fn id_from_machine_id(&self) -> Result<AgentId, IdentityError> {
        let id = self.machine_id.as_deref().unwrap_or_default().trim();
        // In images to be cloned, systemd writes "uninitialized".
        if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(IdentityError::NoMachineId);
        }
        let digest = Sha256::new().chain_update(MACHINE_ID_CONTEXT).chain_update(id).finalize();
        let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        AgentId::try_new(&hex).map_err(|_| IdentityError::NoMachineId)
    }

    /// Returns the host's nonce and a new random process nonce.
    #[must_use]
    pub fn nonces(&self) -> Nonces {
        let process = random();
        Nonces { host: self.boot_nonce().unwrap_or(process), process }
    }

    /// Returns the boot id as bytes; `None` if it is missing or invalid.
    fn boot_nonce(&self) -> Option<[u8; 16]> {
        let hex = self.boot_id.as_deref()?.trim().replace('-', "");
        if hex.len() != 32 {
            return None;
        }
        u128::from_str_radix(&hex, 16).ok().map(u128::to_be_bytes)
    }
}

/// Random numbers by which the collector distinguishes two agents with the same id. Not secret, but
/// not logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonces {
    /// The boot id, which all processes of the host share; random if the system has none.
    pub host: [u8; 16],
    /// Random number of the process.
    pub process: [u8; 16],
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

/// Returns 128 random bits from `RandomState`, whose keys the standard library takes from the
/// operating system's random source.
fn random() -> [u8; 16] {
    let keys = RandomState::new();
    let mut bits = [0; 16];
    bits[..8].copy_from_slice(&keys.hash_one(0_u8).to_ne_bytes());
    bits[8..].copy_from_slice(&keys.hash_one(1_u8).to_ne_bytes());
    bits
}

/// Returns a seed for jitter. Hosts that start at the same moment get different seeds.
pub(crate) fn random_seed() -> u64 {
    RandomState::new().hash_one(2_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Host {
        Host { name: Some(name.into()), ..Host::default() }
    }

    fn with_machine_id(id: &str) -> Host {
        Host { machine_id: Some(id.into()), ..Host::default() }
    }

    #[test]
    fn host_name_is_used_as_the_id() {
        let id = named("web-1.fra.example").id(&IdSource::HostName).unwrap();
        assert_eq!(id.as_str(), "web-1.fra.example");
    }

    #[test]
    fn shared_host_name_is_an_error_with_advice() {
        for name in ["localhost", "LOCALHOST", "localhost.localdomain", "", "(none)"] {
            let error = named(name).id(&IdSource::HostName).unwrap_err();
            assert_eq!(error, IdentityError::SharedName(name.into()));
            assert!(error.to_string().contains("set --id"), "{error}");
        }
        Host::default().id(&IdSource::HostName).unwrap_err();
    }

    #[test]
    fn host_name_that_is_no_valid_id_is_an_error() {
        for name in ["büro-pc", "my pc", &"x".repeat(129)] {
            let error = named(name).id(&IdSource::HostName).unwrap_err();
            assert_eq!(error, IdentityError::UnusableName(name.into()));
        }
    }

    #[test]
    fn id_set_by_the_operator_needs_no_host_name() {
        let id = AgentId::try_new("db:3").unwrap();
        assert_eq!(Host::default().id(&IdSource::Given(id.clone())).unwrap(), id);
    }

    #[test]
    fn machine_id_is_hashed() {
        let secret = "0123456789abcdef0123456789abcdef";
        let id = with_machine_id(&format!("{secret}\n")).id(&IdSource::MachineId).unwrap();
        // printf 'fleetgauge-agent machine-id v1\0%s' $secret | sha256sum | cut -c1-32
        assert_eq!(id.as_str(), "9dc046ab080e5c61b09f7f1a886f6f27");
        assert_ne!(id.as_str(), secret);
    }

    #[test]
    fn missing_or_invalid_machine_id_is_an_error() {
        for id in ["", "uninitialized\n", "0123", "zz23456789abcdef0123456789abcdef"] {
            let error = with_machine_id(id).id(&IdSource::MachineId).unwrap_err();
            assert_eq!(error, IdentityError::NoMachineId);
        }
    }

    #[test]
    fn host_nonce_is_the_boot_id() {
        let boot = Host {
            boot_id: Some("00112233-4455-6677-8899-aabbccddeeff\n".into()),
            ..Host::default()
        };
        let (one, two) = (boot.nonces(), boot.nonces());
        assert_eq!(one.host[..4], [0x00, 0x11, 0x22, 0x33]);
        assert_eq!(one.host, two.host);
        assert_ne!(one.process, two.process);
    }

    #[test]
    fn host_nonce_is_random_without_a_boot_id() {
        for boot_id in [None, Some("garbage".to_owned())] {
            let nonces = Host { boot_id, ..Host::default() }.nonces();
            assert_eq!(nonces.host, nonces.process);
            assert_ne!(nonces.process, [0; 16]);
        }
    }
}
