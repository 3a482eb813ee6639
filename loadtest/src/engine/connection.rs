//! The socket of an agent: connecting, reading, writing. All agents share one read buffer; only an
//! agent whose socket blocks has a write buffer.

use std::io::{self, Read, Write};
use std::time::Duration;

use mio::event::Event as Readiness;
use mio::{Interest, Token};

use super::sim_agent::Stage;
use super::timer_queue::Action;
use super::tls::Decrypted;
use super::{Engine, FleetModel};
use crate::dial::dial;
use crate::worker_protocol::Event;

/// Timeout of Welcome, the same as in the real agent.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time for a write without progress.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

impl<M: FleetModel, E: FnMut(Event)> Engine<M, E> {
    /// Connects an agent and sends Hello.
    pub(super) fn dial(&mut self, index: usize) {
        let (agent_number, now) = (self.agent_number(index), self.truth.now());
        let agent = &mut self.agents[index];
        if self.finished || agent.stage != Stage::Disconnected {
            return;
        }
        agent.stays_away = false;
        agent.attempt = agent.attempt.wrapping_add(1);
        agent.set_since(now);
        let log = self.logs.get_mut(index);
        let collector = log.and_then(|log| log.collector).unwrap_or(self.config.collector);
        let result = dial(agent_number, collector).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), interest)?;
            Ok(stream)
        });
        agent.stage = Stage::Connecting;
        self.connecting += 1;
        match result {
            Ok(stream) => agent.stream = Some(stream),
            Err(error) => return self.connection_lost(index, &error_name(&error)),
        }
        let (id, nonces) = (self.model.id(agent_number), self.nonces(index));
        if let Some(tls) = &mut self.tls
            && tls.connect(index, &id).is_err()
        {
            return self.connection_lost(index, "no_certificate");
        }
        (self.profile.id, self.profile.nonces) = (id, nonces);
        self.profile.labels = self.model.labels(agent_number);
        let client = &mut self.agents[index].client;
        match self.logs.get_mut(index) {
            Some(log) => {
                client.start_with_log(&self.profile, None, log.connecting(), &mut self.out);
            }
            None => client.start(&self.profile, None, &mut self.out),
        }
        self.send(index);
    }

    /// Handles a readiness event of an agent's socket.
    pub(super) fn socket_ready(&mut self, readiness: &Readiness) {
        let index = readiness.token().0;
        if self.agents[index].stage == Stage::Frozen {
            return;
        }
        if readiness.is_readable() || readiness.is_error() {
            self.read(index, readiness.is_read_closed());
        }
        if readiness.is_writable() && self.agents[index].has_unwritten() && self.send(index) {
            let agent = &mut self.agents[index];
            let report = agent.cold.as_mut().and_then(|cold| cold.report.take());
            agent.tidy();
            if let Some(report) = report {
                self.report_written(index, report);
            }
            self.replay(index);
        }
    }

    /// Reads once, or until the end of the stream if the peer has closed it.
    fn read(&mut self, index: usize, until_end: bool) {
        let mut read_buffer = std::mem::take(&mut self.read_buffer);
        while let Some(stream) = &mut self.agents[index].stream {
            match stream.read(&mut read_buffer) {
                Ok(0) => self.connection_lost(index, "closed"),
                Ok(read) => {
                    self.decrypt_and_receive(index, &read_buffer[..read]);
                    // Data that arrives after a short read triggers another event.
                    if read < read_buffer.len() && !until_end {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.connection_lost(index, &error_name(&error)),
            }
        }
        self.read_buffer = read_buffer;
    }

    /// Handles received bytes. Decrypts them first if the connection uses TLS.
    fn decrypt_and_receive(&mut self, index: usize, bytes: &[u8]) {
        let Some(tls) = &mut self.tls else { return self.receive(index, bytes) };
        match tls.decrypt(index, bytes) {
            Decrypted::Plaintext(plaintext) => self.receive(index, &plaintext),
            Decrypted::NotTls => {
                tls.close(index);
                self.receive(index, bytes);
            }
            Decrypted::Invalid => self.connection_lost(index, "tls"),
        }
        if self.tls.as_mut().is_some_and(|tls| tls.wants_write(index)) {
            self.send(index);
        }
    }

    /// Writes the output buffer, and keeps what the socket does not accept. Returns whether the
    /// socket accepted everything.
    pub(super) fn send(&mut self, index: usize) -> bool {
        let now = self.truth.now();
        if let Some(tls) = &mut self.tls {
            tls.encrypt(index, &mut self.out);
        }
        let agent = &mut self.agents[index];
        let had_unwritten = agent.has_unwritten();
        if let Some(cold) = agent.cold.as_mut().filter(|_| had_unwritten) {
            // Bytes from an earlier write go first.
            cold.unwritten.append(&mut self.out);
            std::mem::swap(&mut cold.unwritten, &mut self.out);
        }
        let written = match agent.stream.as_mut().map(|stream| stream.write(&self.out)) {
            Some(Ok(written)) => written,
            Some(Err(error)) if !is_retryable(&error) => {
                self.out.clear();
                if error.kind() != io::ErrorKind::ConnectionRefused {
                    // The reason for the close may be waiting unread.
                    self.read(index, true);
                }
                self.connection_lost(index, &error_name(&error));
                return false;
            }
            _ => 0,
        };
        let all_written = written == self.out.len();
        if !all_written {
            let cold = agent.cold.get_or_insert_default();
            if written > 0 || !had_unwritten {
                cold.stuck_since = now;
            }
            cold.unwritten.extend_from_slice(&self.out[written..]);
        }
        self.out.clear();
        all_written
    }

    /// Closes connections that wait too long for Welcome or whose writes make no progress.
    pub(super) fn close_stuck(&mut self, now: Duration) {
        for index in 0..self.agents.len() {
            let agent = &self.agents[index];
            if agent.stage == Stage::Connecting && now > agent.since() + WELCOME_TIMEOUT {
                self.connection_lost(index, "no_welcome");
            } else if agent.has_unwritten()
                && agent.cold.as_ref().is_some_and(|cold| now > cold.stuck_since + WRITE_TIMEOUT)
            {
                self.connection_lost(index, "timed_out");
            }
        }
    }

    /// Closes the connection of an agent, if it has one.
    pub(super) fn close(&mut self, index: usize) {
        self.close_after(index, false);
    }

    /// Closes the connection of an agent, if it has one. `is_clean`: what was written on it reaches
    /// the collector.
    pub(super) fn close_after(&mut self, index: usize, is_clean: bool) {
        self.abandon_pings(index);
        let agent = &mut self.agents[index];
        agent.cold = None;
        drop(agent.stream.take());
        if let Some(tls) = &mut self.tls {
            tls.close(index);
        }
        let stage = std::mem::take(&mut agent.stage);
        self.connecting -= usize::from(stage == Stage::Connecting);
        if matches!(stage, Stage::InSession | Stage::Frozen) {
            let now = self.truth.now();
            self.truth.history(index).gone(now);
            self.sample.present -= 1;
            self.end_log_session(index, is_clean);
        }
    }

    /// Schedules the next attempt to connect.
    pub(super) fn dial_after(&mut self, index: usize, wait: Duration) {
        let attempt = self.agents[index].attempt;
        self.timers.add(self.truth.now() + wait, index as u32, attempt, Action::Dial);
    }
}

fn is_retryable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected | io::ErrorKind::Interrupted
    )
}

/// Stable name of an I/O error.
fn error_name(error: &io::Error) -> String {
    error.kind().to_string().replace(' ', "_")
}
