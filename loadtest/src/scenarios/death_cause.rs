//! Causes of death of the `deaths` scenario.

use serde::Serialize;

/// How an agent dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeathCause {
    /// Bye, then FIN.
    Bye,
    /// FIN without Bye.
    Fin,
    /// A TCP reset, without Bye.
    Rst,
    /// The process is killed, and the kernel closes the connection.
    KilledProcess,
    /// The process is frozen, and the kernel keeps the connection.
    FrozenProcess,
    /// All packets between agent and collector are lost.
    DroppedPackets,
}

impl DeathCause {
    /// All causes, in the order of the figures.
    pub const ALL: [Self; 6] = [
        Self::Bye,
        Self::Fin,
        Self::Rst,
        Self::KilledProcess,
        Self::FrozenProcess,
        Self::DroppedPackets,
    ];

    /// Name in figures and findings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bye => "bye",
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::KilledProcess => "killed_process",
            Self::FrozenProcess => "frozen_process",
            Self::DroppedPackets => "dropped_packets",
        }
    }

    /// Whether the connection stays open and silent.
    #[must_use]
    pub const fn is_silent(self) -> bool {
        matches!(self, Self::FrozenProcess | Self::DroppedPackets)
    }
}
