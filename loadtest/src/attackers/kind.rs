//! Kinds of attacks: what each sends, and the Reject code that the collector must answer with.

use std::net::Ipv4Addr;
use std::time::Duration;

use fleetgauge_proto::Code;

use super::connection::{AttackConnection, NOTHING};
use super::payloads::AttackPayloads;

/// Number of source addresses of each kind of attack except the connection flood.
const ADDRESSES: u64 = 50;
/// Interval between two bytes that a slow attack sends.
const SLOW_INTERVAL: Duration = Duration::from_millis(500);
/// How long a connection of the connection flood stays open.
const IDLE_TIME: Duration = Duration::from_millis(500);

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below names them, and strike() says what they do")]
pub enum AttackKind {
    Garbage,
    SlowHello,
    SlowFrame,
    OversizedFrame,
    IdThief,
    CatalogBomb,
    WideCatalog,
    ManyFamilies,
    CatalogFlood,
    ReportFlood,
    RowFlood,
    AbsentRow,
    LongRow,
    EarlyReport,
    BadValue,
    ConnectionFlood,
}

impl AttackKind {
    /// All kinds of attack.
    pub const ALL: [Self; 16] = [
        Self::Garbage,
        Self::SlowHello,
        Self::SlowFrame,
        Self::OversizedFrame,
        Self::IdThief,
        Self::CatalogBomb,
        Self::WideCatalog,
        Self::ManyFamilies,
        Self::CatalogFlood,
        Self::ReportFlood,
        Self::RowFlood,
        Self::AbsentRow,
        Self::LongRow,
        Self::EarlyReport,
        Self::BadValue,
        Self::ConnectionFlood,
    ];

    /// Name, expected code, and share of all attacks in percent.
    const fn row(self) -> (&'static str, Code, u32) {
        match self {
            Self::Garbage => ("garbage", Code::BadMagic, 8),
            Self::SlowHello => ("slow_hello", Code::HelloTimeout, 6),
            Self::SlowFrame => ("slow_frame", Code::FrameTimeout, 2),
            Self::OversizedFrame => ("oversized_frame", Code::FrameTooLarge, 9),
            Self::IdThief => ("id_thief", Code::IdConflict, 9),
            Self::CatalogBomb => ("catalog_bomb", Code::MalformedPayload, 6),
            Self::WideCatalog => ("wide_catalog", Code::TooManySeries, 1),
            Self::ManyFamilies => ("many_families", Code::TooManyFamilies, 1),
            Self::CatalogFlood => ("catalog_flood", Code::TooManyReports, 1),
            Self::ReportFlood => ("report_flood", Code::TooManyReports, 2),
            Self::RowFlood => ("row_flood", Code::TooManyRowChanges, 1),
            Self::AbsentRow => ("absent_row", Code::BadRow, 1),
            Self::LongRow => ("long_row", Code::LabelTooLong, 1),
            Self::EarlyReport => ("early_report", Code::BadBitmap, 1),
            Self::BadValue => ("bad_value", Code::BadValue, 1),
            Self::ConnectionFlood => ("connection_flood", Code::AddressPaused, 50),
        }
    }

    /// Name of the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Code of the expected Reject, unless the source address is paused.
    #[must_use]
    pub const fn code(self) -> Code {
        self.row().1
    }

    /// Share of this kind in all attacks, from 0 to 1.
    pub(super) fn share(self) -> f64 {
        f64::from(self.row().2) / 100.0
    }

    /// Source address of an attack. The connection flood has one address. The other kinds have
    /// many, so that the attack continues when the collector pauses one.
    fn source(self, attack_index: u64) -> Ipv4Addr {
        let addresses = if self == Self::ConnectionFlood { 1 } else { ADDRESSES };
        Ipv4Addr::new(127, 66, self as u8, 1 + (attack_index % addresses) as u8)
    }

    /// Runs one attack. Returns the name of the collector's last answer.
    pub(super) async fn run(self, payloads: &AttackPayloads, attack_index: u64) -> &'static str {
        match AttackConnection::connect(self.source(attack_index), payloads.collector).await {
            Ok(mut connection) => self
                .attack(&mut connection, payloads, attack_index)
                .await
                .unwrap_or_else(|answer| answer),
            Err(_) => "unreachable",
        }
    }

    /// Attacks over this connection. Returns the name of the last answer, as an error if the
    /// handshake before the attack failed.
    async fn attack(
        self,
        connection: &mut AttackConnection,
        payloads: &AttackPayloads,
        attack_index: u64,
    ) -> Result<&'static str, &'static str> {
        match self {
            Self::Garbage => connection.send(payloads.garbage(attack_index)).await,
            Self::OversizedFrame => connection.send(&payloads.oversized_header()).await,
            Self::IdThief => connection.send(&payloads.stolen_id(attack_index)).await,
            Self::SlowHello => {
                let hello = payloads.unknown_agent(attack_index);
                return Ok(connection.send_slowly(&hello, SLOW_INTERVAL).await);
            }
            Self::ConnectionFlood => {
                return tokio::time::timeout(IDLE_TIME, connection.receive()).await.or(Ok(NOTHING));
            }
            Self::SlowFrame => {
                connection.handshake(&payloads.unknown_agent(attack_index)).await?;
                return Ok(connection
                    .send_slowly(&payloads.partial_catalog(), SLOW_INTERVAL)
                    .await);
            }
            Self::ReportFlood => {
                connection.handshake(&payloads.flooding_agent(attack_index)).await?;
                connection.send(payloads.session(self)).await;
            }
            _ => {
                connection.handshake(&payloads.unknown_agent(attack_index)).await?;
                connection.send(payloads.session(self)).await;
            }
        }
        Ok(connection.receive().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_all_attacks() {
        assert_eq!(AttackKind::ALL.map(|kind| kind.row().2).iter().sum::<u32>(), 100);
    }
}
