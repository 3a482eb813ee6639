//! The kinds of attacks: how each goes, and what it must be refused with.

use std::net::Ipv4Addr;
use std::time::Duration;

use fleetgauge_proto::Code;

use super::peer::{NOTHING, Peer};
use super::weapons::Weapons;

/// Addresses from which the attacks of one kind come.
const ADDRESSES: u64 = 50;
/// Between two bytes of who is slow.
const DRIP: Duration = Duration::from_millis(500);
/// How long a connection of a flood stays.
const IDLE: Duration = Duration::from_millis(500);

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below names them, and strike() says what they do")]
pub enum Kind {
    Garbage,
    SlowHello,
    SlowFrame,
    OversizedFrame,
    IdThief,
    SchemaBomb,
    WideSchema,
    SchemaFlood,
    ReportFlood,
    ConnectionFlood,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::Garbage,
        Self::SlowHello,
        Self::SlowFrame,
        Self::OversizedFrame,
        Self::IdThief,
        Self::SchemaBomb,
        Self::WideSchema,
        Self::SchemaFlood,
        Self::ReportFlood,
        Self::ConnectionFlood,
    ];

    /// Its name, the code that it must be refused with, and its part of all attacks in percent.
    const fn row(self) -> (&'static str, Code, u32) {
        match self {
            Self::Garbage => ("garbage", Code::BadMagic, 14),
            Self::SlowHello => ("slow_hello", Code::HelloTimeout, 6),
            Self::SlowFrame => ("slow_frame", Code::FrameTimeout, 2),
            Self::OversizedFrame => ("oversized_frame", Code::FrameTooLarge, 9),
            Self::IdThief => ("id_thief", Code::IdConflict, 9),
            Self::SchemaBomb => ("schema_bomb", Code::MalformedPayload, 6),
            Self::WideSchema => ("wide_schema", Code::TooManySeries, 1),
            Self::SchemaFlood => ("schema_flood", Code::TooManyReports, 1),
            Self::ReportFlood => ("report_flood", Code::TooManyReports, 2),
            Self::ConnectionFlood => ("connection_flood", Code::AddressPaused, 50),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// What it must be refused with while its addresses are not paused.
    #[must_use]
    pub const fn code(self) -> Code {
        self.row().1
    }

    /// Its part of all attacks.
    pub(super) fn share(self) -> f64 {
        f64::from(self.row().2) / 100.0
    }

    /// A flood comes from one address, the others from many, so that a pause of one of them does not end the attack.
    fn source(self, number: u64) -> Ipv4Addr {
        let addresses = if self == Self::ConnectionFlood { 1 } else { ADDRESSES };
        Ipv4Addr::new(127, 66, self as u8, 1 + (number % addresses) as u8)
    }

    /// The attack of this number; what it was told last, by name.
    pub(super) async fn strike(self, weapons: &Weapons, number: u64) -> &'static str {
        match Peer::connect(self.source(number), weapons.collector).await {
            Ok(mut peer) => {
                self.attack(&mut peer, weapons, number).await.unwrap_or_else(|told| told)
            }
            Err(_) => "unreachable",
        }
    }

    /// What it was told at its end, or before it could begin.
    async fn attack(
        self,
        peer: &mut Peer,
        weapons: &Weapons,
        number: u64,
    ) -> Result<&'static str, &'static str> {
        match self {
            Self::Garbage => peer.say(weapons.garbage(number)).await,
            Self::OversizedFrame => peer.say(&weapons.oversized()).await,
            Self::IdThief => peer.say(&weapons.theft(number)).await,
            Self::SlowHello => return Ok(peer.drip(&weapons.stranger(number), DRIP).await),
            Self::ConnectionFlood => {
                return tokio::time::timeout(IDLE, peer.hear()).await.or(Ok(NOTHING));
            }
            Self::SlowFrame => {
                peer.enter(&weapons.stranger(number)).await?;
                return Ok(peer.drip(&weapons.begun(), DRIP).await);
            }
            Self::SchemaBomb | Self::WideSchema | Self::SchemaFlood => {
                peer.enter(&weapons.stranger(number)).await?;
                peer.say(weapons.schemas(self)).await;
            }
            Self::ReportFlood => {
                peer.enter(&weapons.flooder(number)).await?;
                peer.say(&weapons.reports).await;
            }
        }
        Ok(peer.hear().await)
    }
}
