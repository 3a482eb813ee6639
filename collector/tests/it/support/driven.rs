//! Sessions without sockets: what they are given, when, and what they say.

use std::net::SocketAddr;
use std::sync::Arc;

use fleetgauge_collector::Config;
use fleetgauge_collector::clock::Millis;
use fleetgauge_collector::ending::Ending;
use fleetgauge_collector::exposition::{Format, render};
use fleetgauge_collector::session::{HELLO_TIMEOUT, Handshake, Session};
use fleetgauge_collector::shared::Shared;
use fleetgauge_proto::{Accept, Code, FrameBuffer, Kind, Message};
use prometheus_client::registry::Registry as OwnRegistry;

use super::collector::Page;

/// A collector of which only the sessions and the registry are there.
pub(crate) struct Rig {
    pub(crate) shared: Arc<Shared>,
    pub(crate) now: Millis,
    own: OwnRegistry,
}

/// A session, and what it has said that nobody has looked at.
pub(crate) struct Driven {
    pub(crate) session: Session,
    said: Vec<u8>,
}

/// What matters of what a session says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Welcome { schema_known: bool },
    Reject(Code),
    Drain { delay_ms: u32 },
    Other(Kind),
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let mut own = OwnRegistry::default();
        Self { shared: Arc::new(Shared::new(config, &mut own)), now: 1_000_000, own }
    }

    pub(crate) fn connect(&self) -> Driven {
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let peer = self.shared.admit(address, self.now + HELLO_TIMEOUT).unwrap();
        let place = Arc::clone(&self.shared.handshakes).try_acquire_owned().unwrap();
        let handshake = Handshake { accepted: None, place, certificate: None };
        self.shared.metrics.connected();
        let session = Session::new(Arc::clone(&self.shared), peer, handshake, self.now);
        Driven { session, said: Vec::new() }
    }

    /// All agents' series.
    pub(crate) fn page(&self) -> Page {
        let mut page = Vec::new();
        render(&self.shared.registry.snapshot(), Format::Text, &mut page).unwrap();
        Page(String::from_utf8(page).unwrap())
    }

    pub(crate) fn figure(&self, series: &str) -> f64 {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.own).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Driven {
    pub(crate) fn receives(&mut self, rig: &Rig, bytes: &[u8]) {
        self.session.received(bytes, rig.now, &mut self.said);
    }

    pub(crate) fn ticks(&mut self, rig: &Rig) {
        self.session.tick(rig.now, &mut self.said);
    }

    pub(crate) fn finishes(&mut self) {
        self.session.finished(&mut self.said);
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.session.ending()
    }

    /// What it said since it was asked last.
    pub(crate) fn says(&mut self) -> Vec<Said> {
        let said = std::mem::take(&mut self.said);
        let accept = Accept { version: 1, max_payload_bytes: 16 * 1024 };
        let (mut frames, mut input, mut all) = (FrameBuffer::default(), &said[..], Vec::new());
        while let Some(frame) = frames.next(&mut input, accept).unwrap() {
            all.push(match Message::decode(frame).unwrap() {
                Message::Welcome(m) => Said::Welcome { schema_known: m.schema_known },
                Message::Reject(m) => Said::Reject(Code::from_u16(m.code).unwrap()),
                Message::Drain(m) => Said::Drain { delay_ms: m.delay_ms },
                other => Said::Other(other.kind()),
            });
        }
        all
    }
}
