//! Who this agent is: its id, and the nonces that tell its host's boots and its own runs apart.

use std::hash::{BuildHasher, RandomState};

use fleetgauge_proto::AgentId;
use sha2::{Digest, Sha256};

/// Put before the machine id when it is hashed, so that nobody else's hash of it is the same.
const MACHINE_ID_CONTEXT: &[u8] = b"fleetgauge-agent machine-id v1\0";
/// Host names that many hosts have.
const NOT_A_NAME: [&str; 4] = ["", "localhost", "localhost.localdomain", "(none)"];

/// Where the id comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IdSource {
    /// The operator has given it.
    Given(AgentId),
    /// The host's name.
    #[default]
    HostName,
    /// A hash of systemd's machine id, which should itself not leave the host.
    MachineId,
}

/// Why there is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The host has no name of its own.
    #[error(
        "the host's name is {0:?}, which many hosts have; give this one a name of its own, or set id, \
         or id-from = machine-id"
    )]
    SharedName(Box<str>),
    /// The host's name cannot be an id.
    #[error(
        "the host's name {0:?} cannot be an agent id, which is 1 to 128 of A-Z a-z 0-9 . _ : -; set id, \
         or id-from = machine-id"
    )]
    UnusableName(Box<str>),
    /// There is no machine id, or not a valid one.
    #[error("this host has no machine id in /etc/machine-id; set id, or id-from = hostname")]
    NoMachineId,
}

/// What the host knows about itself. Read once; given by tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: Option<String>,
    /// The content of `/etc/machine-id`; only systems with systemd or D-Bus have one.
    pub machine_id: Option<String>,
    /// The random id of this boot; only Linux has one.
    pub boot_id: Option<String>,
}

impl Host {
    /// Reads this host.
    #[must_use]
    pub fn read() -> Self {
        let file = |path: &str| std::fs::read_to_string(path).ok();
        Self {
            // sysinfo misses a name of the greatest length.
            name: sysinfo::System::host_name().ok().or_else(|| file("/proc/sys/kernel/hostname")),
            machine_id: file("/etc/machine-id").or_else(|| file("/var/lib/dbus/machine-id")),
            boot_id: file("/proc/sys/kernel/random/boot_id"),
        }
    }

    /// The agent's id on this host.
    ///
    /// # Errors
    /// When the host has nothing that could be one; the text says what to do.
    pub fn id(&self, source: &IdSource) -> Result<AgentId, IdentityError> {
        match source {
            IdSource::Given(id) => Ok(id.clone()),
            IdSource::HostName => self.id_from_name(),
            IdSource::MachineId => self.id_from_machine_id(),
        }
    }

    fn id_from_name(&self) -> Result<AgentId, IdentityError> {
        let name = self.name.as_deref().unwrap_or_default().trim();
        if NOT_A_NAME.iter().any(|shared| name.eq_ignore_ascii_case(shared)) {
            return Err(IdentityError::SharedName(name.into()));
        }
        AgentId::try_new(name).map_err(|_| IdentityError::UnusableName(name.into()))
    }

    fn id_from_machine_id(&self) -> Result<AgentId, IdentityError> {
        let id = self.machine_id.as_deref().unwrap_or_default().trim();
        // systemd writes "uninitialized" into images that are to be cloned.
        if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(IdentityError::NoMachineId);
        }
        let digest = Sha256::new().chain_update(MACHINE_ID_CONTEXT).chain_update(id).finalize();
        let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        AgentId::try_new(&hex).map_err(|_| IdentityError::NoMachineId)
    }

    /// The nonces of a process that starts now.
    #[must_use]
    pub fn nonces(&self) -> Nonces {
        let process = random();
        Nonces { host: self.boot_nonce().unwrap_or(process), process }
    }

    /// The boot id's 128 bits.
    fn boot_nonce(&self) -> Option<[u8; 16]> {
        let hex = self.boot_id.as_deref()?.trim().replace('-', "");
        if hex.len() != 32 {
            return None;
        }
        u128::from_str_radix(&hex, 16).ok().map(u128::to_be_bytes)
    }
}

/// What tells two holders of the same id apart. Not a secret, but never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonces {
    /// Equal for all processes of one boot of one host where the system has a boot id, else random.
    pub host: [u8; 16],
    /// Random for every process.
    pub process: [u8; 16],
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

/// 128 random bits: std keys each `RandomState` from the operating system's random source.
fn random() -> [u8; 16] {
    let keys = RandomState::new();
    let mut bits = [0; 16];
    bits[..8].copy_from_slice(&keys.hash_one(0_u8).to_ne_bytes());
    bits[8..].copy_from_slice(&keys.hash_one(1_u8).to_ne_bytes());
    bits
}

/// A seed for jitter that differs between hosts started at the same moment.
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
    fn the_host_name_is_the_id() {
        let id = named("web-1.fra.example").id(&IdSource::HostName).unwrap();
        assert_eq!(id.as_str(), "web-1.fra.example");
    }

    #[test]
    fn a_name_that_many_hosts_have_is_refused_with_advice() {
        for name in ["localhost", "LOCALHOST", "localhost.localdomain", "", "(none)"] {
            let error = named(name).id(&IdSource::HostName).unwrap_err();
            assert_eq!(error, IdentityError::SharedName(name.into()));
            assert!(error.to_string().contains("set id"), "{error}");
        }
        Host::default().id(&IdSource::HostName).unwrap_err();
    }

    #[test]
    fn a_name_that_is_not_an_id_is_refused_with_advice() {
        for name in ["büro-pc", "my pc", &"x".repeat(129)] {
            let error = named(name).id(&IdSource::HostName).unwrap_err();
            assert_eq!(error, IdentityError::UnusableName(name.into()));
        }
    }

    #[test]
    fn a_given_id_needs_no_host() {
        let id = AgentId::try_new("db:3").unwrap();
        assert_eq!(Host::default().id(&IdSource::Given(id.clone())).unwrap(), id);
    }

    #[test]
    fn the_machine_id_itself_does_not_leave_the_host() {
        let secret = "0123456789abcdef0123456789abcdef";
        let id = with_machine_id(&format!("{secret}\n")).id(&IdSource::MachineId).unwrap();
        // printf 'fleetgauge-agent machine-id v1\0%s' $secret | sha256sum | cut -c1-32
        assert_eq!(id.as_str(), "9dc046ab080e5c61b09f7f1a886f6f27");
        assert_ne!(id.as_str(), secret);
    }

    #[test]
    fn an_image_without_a_machine_id_is_refused() {
        for id in ["", "uninitialized\n", "0123", "zz23456789abcdef0123456789abcdef"] {
            let error = with_machine_id(id).id(&IdSource::MachineId).unwrap_err();
            assert_eq!(error, IdentityError::NoMachineId);
        }
    }

    #[test]
    fn the_host_nonce_is_the_boot() {
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
    fn without_a_boot_id_the_process_stands_for_the_host() {
        for boot_id in [None, Some("garbage".to_owned())] {
            let nonces = Host { boot_id, ..Host::default() }.nonces();
            assert_eq!(nonces.host, nonces.process);
            assert_ne!(nonces.process, [0; 16]);
        }
    }
}
