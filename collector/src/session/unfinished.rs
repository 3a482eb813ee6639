//! A frame that is not whole yet: what it costs, and when it must be.

use fleetgauge_proto::{Code, FrameBuffer};

use super::Session;
use crate::clock::Millis;
use crate::ending::Refusal;

/// Time to finish a frame that was begun, and more for every so many bytes announced.
pub const FRAME_TIMEOUT: Millis = 10_000;
const FRAME_BYTES_A_SECOND: Millis = 4_096;

/// The bytes of it that came.
#[derive(Debug)]
pub(super) struct Unfinished {
    frames: FrameBuffer,
    /// Bytes that it has of the budget.
    held: usize,
    begun: Millis,
}

impl Session {
    /// Keeps what came of a frame that was begun then.
    pub(super) fn keep(&mut self, frames: FrameBuffer, begun: Millis) -> Result<(), Refusal> {
        let (held, budget) = (frames.held_bytes(), &self.shared.budget);
        if !budget.take(held) {
            budget.refused();
            return Err(Refusal::of(Code::CollectorFull));
        }
        self.unfinished = Some(Box::new(Unfinished { frames, held, begun }));
        Ok(())
    }

    /// There is no memory for what came of a record of TLS.
    pub fn no_room(&mut self, out: &mut Vec<u8>) {
        self.refuse(&Refusal::of(Code::CollectorFull), out);
    }

    /// The peer does not speak TLS, and the port nothing else.
    pub fn tls_required(&mut self, out: &mut Vec<u8>) {
        self.refuse(&Refusal::of(Code::TlsRequired), out);
    }

    /// What was kept, and since when; nothing, between frames.
    pub(super) fn take_unfinished(&mut self) -> (FrameBuffer, Option<Millis>) {
        let Some(unfinished) = self.unfinished.take() else { return Default::default() };
        self.shared.budget.give_back(unfinished.held);
        (unfinished.frames, Some(unfinished.begun))
    }

    /// Starts the time of an unfinished frame again: its rest may have arrived, but the collector does not read
    /// from a peer that does not read.
    pub fn not_read(&mut self, now: Millis) {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.begun = now;
        }
    }

    pub(super) fn frame_deadline(&self) -> Option<Millis> {
        let unfinished = self.unfinished.as_ref()?;
        let announced = unfinished.frames.unfinished_len()? as Millis;
        Some(unfinished.begun + FRAME_TIMEOUT + announced * 1_000 / FRAME_BYTES_A_SECOND)
    }
}
