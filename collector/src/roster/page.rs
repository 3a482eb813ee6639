//! The roster as Prometheus reads it: who is up, and who ought to be.

use fleetgauge_proto::schema::{Family, FamilyKind};

use super::{Census, Departure, Roster};
use crate::exposition::{Broken, CHUNK_BYTES, FamilyHead, Format, Sink};

/// Writes who is there and who ought to be; no end mark.
///
/// # Errors
/// [`Broken`] if the sink is.
pub fn render(
    census: &Census,
    roster: &Roster,
    format: Format,
    sink: &mut dyn Sink,
) -> Result<(), Broken> {
    let expected = roster.expected();
    let down = || census.departed.iter().filter(|departure| departure.is_down(&expected));
    let mut page = Chunks::new(sink);
    page.head("fleetgauge_agent_up", FamilyKind::Gauge, UP_HELP, format);
    for (id, _) in &census.present {
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

const UP_HELP: &str = "Whether an agent that ought to be connected is.";
const DEPARTED_HELP: &str = "Why an agent is not connected.";

/// Hands text on in chunks.
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
        let family = Family { name, kind: Some(kind), unit: "".into(), help, series: Vec::new() };
        self.chunk.extend_from_slice(FamilyHead::new(&family, kind).lines(format).as_bytes());
    }

    fn line(&mut self, parts: &[&str]) -> Result<(), Broken> {
        for part in parts {
            self.chunk.extend_from_slice(part.as_bytes());
        }
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Broken> {
        self.sink.chunk(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(), Broken> {
        self.flush()
    }
}
