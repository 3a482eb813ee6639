//! Frames that are only partly received: their memory and their deadline.

use fleetgauge_proto::{Code, FrameBuffer};

use super::Session;
use crate::clock::Millis;
use crate::peers::refusal::Refusal;

/// Maximum time to complete a frame, in milliseconds. The time that its announced length takes at
/// the minimum rate is added.
pub const FRAME_TIMEOUT: Millis = 10_000;
const FRAME_BYTES_A_SECOND: Millis = 4_096;

/// A frame that is only partly received.
#[derive(Debug)]
pub(super) struct Unfinished {
    frames: FrameBuffer,
    /// Bytes taken from the memory budget.
    taken: usize,
    begun: Millis,
}

impl Session {
    /// Keeps an incomplete frame whose first byte arrived at `begun`.
    pub(super) fn keep(&mut self, frames: FrameBuffer, begun: Millis) -> Result<(), Refusal> {
        let (taken, budget) = (frames.held_bytes(), &self.collector.admission.budget);
        if !budget.take(taken) {
            budget.refused();
            return Err(Refusal::of(Code::CollectorFull));
        }
        self.unfinished = Some(Box::new(Unfinished { frames, taken, begun }));
        Ok(())
    }

    /// Refuses the peer because an incomplete TLS record exceeds the memory limit.
    pub fn out_of_memory(&mut self, out: &mut Vec<u8>) {
        self.refuse(&Refusal::of(Code::CollectorFull), out);
    }

    /// Refuses a peer without TLS on a port with TLS.
    pub fn tls_required(&mut self, out: &mut Vec<u8>) {
        self.refuse(&Refusal::of(Code::TlsRequired), out);
    }

    /// Takes the incomplete frame and the time at which its first byte arrived. Returns its memory
    /// to the budget.
    pub(super) fn take_unfinished(&mut self) -> (FrameBuffer, Option<Millis>) {
        let Some(unfinished) = self.unfinished.take() else { return Default::default() };
        self.collector.admission.budget.give_back(unfinished.taken);
        (unfinished.frames, Some(unfinished.begun))
    }

    /// Restarts the timeout of an incomplete frame. Called while output is unsent: the collector
    /// does not read then, so the rest of the frame may wait in the socket.
    pub fn restart_frame_timeout(&mut self, now: Millis) {
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
