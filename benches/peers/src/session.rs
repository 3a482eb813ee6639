//! A session with the fleetgauge collector: the agent's state machine over a counting connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::bail;
use fleetgauge_agent::client::{Baseline, Client, Event};
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_agent::tables::Sample;
use fleetgauge_proto::rows::TableRows;
use fleetgauge_proto::{AgentId, StaticLabels};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use crate::fleet_kind::FleetKind;
use crate::http::Counted;
use crate::reading::{self, Reading};

/// Size of the read buffer, in bytes.
const READ_BYTES: usize = 1024;

/// Zero of the monotonic clock of all sessions.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// An agent in a session.
pub struct Session {
    stream: Counted,
    profile: Profile,
    client: Client,
    baseline: Baseline,
    /// Rows of each table; they stay the same.
    rows: Vec<Arc<TableRows>>,
    out: Vec<u8>,
}

impl Session {
    /// Sends Hello and waits for Welcome.
    ///
    /// # Errors
    /// If the collector rejects the agent or closes the connection.
    pub async fn open(
        stream: Counted,
        kind: FleetKind,
        host: usize,
        interval: Duration,
    ) -> anyhow::Result<Self> {
        let profile = profile(kind, host, interval)?;
        let rows = kind.rows(&profile.catalogs, host)?;
        let (client, baseline) = (Client::default(), Baseline::default());
        let mut session = Self { stream, profile, client, baseline, rows, out: Vec::new() };
        session.client.start(&session.profile, None, &mut session.out);
        while !session.client.is_welcomed() {
            session.flush().await?;
            let mut buffer = [0; READ_BYTES];
            match session.stream.read(&mut buffer).await? {
                0 => bail!("the collector closed the connection before Welcome"),
                read => session.handle_input(&buffer[..read])?,
            }
        }
        Ok(session)
    }

    /// Handles pending messages of the collector and sends the readings. Returns the number of
    /// bytes of the reports.
    ///
    /// # Errors
    /// If the session has ended.
    pub async fn report(&mut self, readings: &[Reading]) -> anyhow::Result<usize> {
        self.read_pending().await?;
        let before = self.out.len();
        for reading in readings {
            let sample = Sample { rows: self.rows.clone(), values: reading.values() };
            let Self { client, profile, out, .. } = self;
            self.baseline.report(client, profile, &sample, START.elapsed(), out)?;
        }
        let payload = self.out.len() - before;
        self.flush().await?;
        Ok(payload)
    }

    /// Handles the bytes that have arrived, without waiting for more.
    async fn read_pending(&mut self) -> anyhow::Result<()> {
        let mut bytes = [0; READ_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let polled =
                poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)));
            match polled.await {
                Poll::Pending => return Ok(()),
                Poll::Ready(outcome) => outcome?,
            }
            if buffer.filled().is_empty() {
                bail!("the collector has closed the connection");
            }
            self.handle_input(buffer.filled())?;
        }
    }

    fn handle_input(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        loop {
            let Self { client, profile, out, .. } = self;
            let Some(event) = client.received(profile, START.elapsed(), &mut bytes, out)? else {
                return Ok(());
            };
            match event {
                Event::Welcomed { catalogs_sent, .. } => drop(catalogs_sent?),
                Event::Pong { .. } => {}
                other => bail!("unexpected message of the collector: {other:?}"),
            }
        }
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }
}

/// Identity and catalogs of the agent. All agents share the catalogs.
pub(crate) fn profile(kind: FleetKind, host: usize, interval: Duration) -> anyhow::Result<Profile> {
    let nonce = (host as u128).to_be_bytes();
    Ok(Profile {
        id: AgentId::try_new(&reading::id(host))?,
        nonces: Nonces { host: nonce, process: nonce },
        labels: StaticLabels::default(),
        interval,
        agent_version: env!("CARGO_PKG_VERSION"),
        catalogs: kind.catalogs()?,
    })
}
