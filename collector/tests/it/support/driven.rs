//! Sessions without sockets: the tests pass input and time, and read the output.

use std::net::SocketAddr;
use std::sync::Arc;

use fleetgauge_collector::Config;
use fleetgauge_collector::clock::Millis;
use fleetgauge_collector::connection::session::{HELLO_TIMEOUT, Handshake, Session};
use fleetgauge_collector::exposition::{Format, render};
use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::state::CollectorState;
use fleetgauge_proto::{Accept, Code, FrameBuffer, Kind, Message};
use prometheus_client::registry::Registry as OwnRegistry;

use super::collector::Page;

/// A collector without sockets: sessions and registry only.
pub(crate) struct Rig {
    pub(crate) collector: Arc<CollectorState>,
    pub(crate) now: Millis,
    own: OwnRegistry,
}

/// A session and its unread output.
pub(crate) struct Driven {
    pub(crate) session: Session,
    said: Vec<u8>,
}

/// A message of a session, reduced to the fields that tests check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Welcome { catalogs_known: bool },
    Reject(Code),
    Drain { delay_ms: u32 },
    Other(Kind),
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let mut own = OwnRegistry::default();
        Self { collector: Arc::new(CollectorState::new(config, &mut own)), now: 1_000_000, own }
    }

    pub(crate) fn connect(&self) -> Driven {
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let (admission, now) = (&self.collector.admission, self.collector.clock.now());
        let handle = admission.admit(address, self.now + HELLO_TIMEOUT, now).unwrap();
        let permit = Arc::clone(&admission.handshakes).try_acquire_owned().unwrap();
        let handshake = Handshake { accepted: None, permit, certificate: None };
        self.collector.telemetry.metrics.connected();
        let session = Session::new(Arc::clone(&self.collector), handle, handshake, self.now);
        Driven { session, said: Vec::new() }
    }

    /// Returns the page with all agents' series.
    pub(crate) fn page(&self) -> Page {
        let mut page = Vec::new();
        render(&self.collector.registry.snapshot(), Format::Text, &mut page).unwrap();
        Page(String::from_utf8(page).unwrap())
    }

    pub(crate) fn metric(&self, series: &str) -> f64 {
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

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.session.close_reason()
    }

    /// Returns the unread Welcome's bits of known catalogs.
    pub(crate) fn take_catalogs_known(&mut self) -> u16 {
        let said = std::mem::take(&mut self.said);
        let accept = Accept { version: 1, max_payload_bytes: 16 * 1024 };
        let mut frames = FrameBuffer::default();
        let frame = frames.next(&mut &said[..], accept).unwrap().unwrap();
        let Message::Welcome(welcome) = Message::decode(frame).unwrap() else { panic!("refused") };
        welcome.catalogs_known
    }

    /// Returns the messages since the last call.
    pub(crate) fn take_sent(&mut self) -> Vec<Sent> {
        let said = std::mem::take(&mut self.said);
        let accept = Accept { version: 1, max_payload_bytes: 16 * 1024 };
        let (mut frames, mut input, mut all) = (FrameBuffer::default(), &said[..], Vec::new());
        while let Some(frame) = frames.next(&mut input, accept).unwrap() {
            all.push(match Message::decode(frame).unwrap() {
                Message::Welcome(m) => {
                    Sent::Welcome { catalogs_known: m.catalogs_known == u16::MAX }
                }
                Message::Reject(m) => Sent::Reject(Code::from_u16(m.code).unwrap()),
                Message::Drain(m) => Sent::Drain { delay_ms: m.delay_ms },
                other => Sent::Other(other.kind()),
            });
        }
        all
    }
}
