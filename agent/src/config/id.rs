//! The settings `id` and `id_from`.

use clap::ValueEnum;
use fleetgauge_common::settings::Layers;
use fleetgauge_proto::AgentId;

use crate::identity::IdSource;

/// Values of `id_from`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum IdFrom {
    /// Host name
    #[default]
    Hostname,
    /// Hash of the systemd machine id
    MachineId,
}

/// Returns the source of the agent id. If both `id` and `id_from` are set, flags override
/// environment variables, which override the file.
pub(super) fn source(layers: &mut Layers) -> IdSource {
    if layers.either("id", "id_from") == Some("id") {
        let id = layers.text("id").and_then(|text| AgentId::try_new(text).ok());
        if let Some(id) = id {
            return IdSource::Given(id);
        }
    }
    match layers.choice("id_from") {
        IdFrom::Hostname => IdSource::HostName,
        IdFrom::MachineId => IdSource::MachineId,
    }
}

/// Checks that `text` is a valid agent id.
pub(super) fn is_id(text: &str) -> Result<(), String> {
    AgentId::try_new(text).map(drop).map_err(|_| {
        "must have 1 to 128 characters from A-Z, a-z, 0-9 and . _ : -, and must not be . or .."
            .to_owned()
    })
}
