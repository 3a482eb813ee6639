//! Renders the roster page: `fleetgauge_agent_up`, and why agents have departed.

use fleetgauge_proto::catalog::{Family, FamilyKind};

use super::{Departure, PresenceSnapshot, Roster};
use crate::exposition::{CHUNK_BYTES, Disconnected, FamilyHead, Format, Sink};

/// Renders the page, without the end mark of OpenMetrics.
///
/// # Errors
/// [`Disconnected`] if the sink is.
pub fn render(
    presence: &PresenceSnapshot,
    roster: &Roster,
    format: Format,
    sink: &mut dyn Sink,
) -> Result<(), Disconnected> {
    let expected = roster.expected();
    let down = || presence.departed.iter().filter(|departure| departure.is_down(&expected));
    let mut page = Chunks::new(sink);
    page.head("fleetgauge_agent_up", FamilyKind::Gauge, UP_HELP, format);
    for (id, _) in &presence.present {
        page.line(&["fleetgauge_agent_up{agent=\"", id.as_str(), "\"} 1\n"])?;
    }
    for Departure { id, .. } in down() {
        page.line(&["fleetgauge_agent_up{agent=\"", id.as_str(), "\"} 0\n"])?;
    }
    page.head("fleetgauge_agent_departed", FamilyKind::Info, DEPARTED_HELP, format);
    for Departure { id, reason, .. } in down() {
        let name = "fleetgauge_agent_departed_info{agent=\"";
        page.line(&[name, id.as_str(), "\",reason=\"", reason.name(), "\"} 1\n"])?;
    }
    page.finish()
}

const UP_HELP: &str = "Whether the agent is connected.";
const DEPARTED_HELP: &str = "Why the agent is not connected.";

/// Collects text into chunks.
struct Chunks<'a> {
    chunk: Vec<u8>,
    sink: &'a mut dyn Sink,
}

impl<'a> Chunks<'a> {
    fn new(sink: &'a mut dyn Sink) -> Self {
        let chunk = Vec::with_capacity(CHUNK_BYTES + 1024);
        Self { chunk, sink }
    }

    fn head(&mut self, name: &str, kind: FamilyKind, help: &str, format: Format) {
        let (name, help) = (name.into(), help.into());
        let family = Family { name, kind: Some(kind), unit: "".into(), help };
        self.chunk.extend_from_slice(FamilyHead::new(&family, kind).lines(format).as_bytes());
    }

    fn line(&mut self, parts: &[&str]) -> Result<(), Disconnected> {
        for part in parts {
            self.chunk.extend_from_slice(part.as_bytes());
        }
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Disconnected> {
        self.sink.chunk(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(), Disconnected> {
        self.flush()
    }
}
