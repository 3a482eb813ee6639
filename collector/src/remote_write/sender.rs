//! The sender of a lane: encodes its batches, sends them, and acts on the answers.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::answer::{Answer, Next};
use super::backoff::Backoff;
use super::client::{Client, Reply};
use super::compression::{Compressor, Encoding};
use super::destination::Destination;
use super::drop_reason::DropReason;
use super::encode::{Encoder, Points, Written};
use super::entry::{Content, Entry};
use super::lane::Batch;
use super::part::Part;
use super::uncertain::Uncertain;
use crate::state::CollectorState;

/// Maximum refused requests in a row to find the refused samples of a batch. Accepted ones show
/// that the search makes progress, and allow more. What is left of the batch is dropped: an engine
/// that refuses everything must not get a request for each series.
const MAX_PROBES: usize = 64;
/// Refused requests that an accepted one allows.
const PROBES_OF_ACCEPTED: usize = 32;

/// Sends the batches of a lane.
pub(super) struct Sender {
    collector: Arc<CollectorState>,
    destination: Arc<Destination>,
    /// Index of the destination.
    index: usize,
    client: Client,
    encoder: Encoder,
    compressor: Compressor,
    /// The body before compression. Kept, to allocate once.
    body: Vec<u8>,
    /// Reports of the batch that the engine may have, though a request with them failed.
    uncertain: Uncertain,
    /// Ends all retries.
    abort: CancellationToken,
}

/// What the last request for a part carried.
#[derive(Debug, Clone, Copy, Default)]
struct Encoded {
    written: Written,
    /// What was left out because it is too old.
    expired: Written,
    /// Time of the newest sample, in unix milliseconds.
    newest_ms: i64,
    /// Size of the body, compressed.
    bytes: usize,
}

impl Sender {
    pub(super) fn new(
        collector: &Arc<CollectorState>,
        destination: &Arc<Destination>,
        index: usize,
        abort: &CancellationToken,
    ) -> Self {
        Self {
            collector: Arc::clone(collector),
            client: Client::new(&destination.settings).sharing(&destination.confirmation),
            encoder: Encoder::with_protocol(
                Arc::clone(&destination.settings.rules),
                destination.settings.protocol,
            ),
            destination: Arc::clone(destination),
            index,
            compressor: Compressor::default(),
            body: Vec::new(),
            uncertain: Uncertain::default(),
            abort: abort.clone(),
        }
    }

    /// Sends the batches of a lane until it is stopped and empty.
    pub(super) async fn run(mut self, lane: usize) {
        let destination = Arc::clone(&self.destination);
        let Some(lane) = destination.lanes().get(lane) else { return };
        while let Some(batch) = lane.next_batch().await {
            self.deliver(&batch).await;
        }
    }

    /// Sends a batch. Returns once its samples are accepted or dropped.
    async fn deliver(&mut self, batch: &Batch) {
        self.uncertain.clear();
        let mut parts = vec![Part::whole(batch)];
        let mut probes = MAX_PROBES;
        while let Some(part) = parts.pop() {
            let (answer, sent) = self.send(batch, &part).await;
            let can_split = match &answer {
                Answer::TooLarge => true,
                Answer::Refused { .. } => {
                    probes = probes.saturating_sub(1);
                    probes > 0 && !self.is_refused_throughout(batch, &part).await
                }
                Answer::Accepted => {
                    probes = (probes + PROBES_OF_ACCEPTED).min(MAX_PROBES);
                    false
                }
                Answer::Aborted => false,
            };
            match part.halves(batch).filter(|_| can_split) {
                Some([first, second]) => parts.extend([second, first]),
                None => self.count(batch, &part, &answer, sent),
            }
        }
        if self.abort.is_cancelled() {
            return;
        }
        for entry in &batch.entries {
            if let Content::Report { sequence, acks: Some(acks), .. } = &entry.content {
                acks.taken(self.index, *sequence);
            }
        }
    }

    /// Whether the engine refuses every series of a refused part, if that is one entry: it tries
    /// two. Prometheus refuses a report that it has already, if it has a newer one. Markers of an
    /// agent are refused together too, if it has newer samples from elsewhere.
    async fn is_refused_throughout(&mut self, batch: &Batch, part: &Part) -> bool {
        let Some(ends) = part.ends(batch) else { return false };
        for end in ends {
            let (answer, sent) = self.send(batch, &end).await;
            if !matches!(answer, Answer::Refused { .. }) && sent.written.total() > 0 {
                return false;
            }
        }
        true
    }

    /// Sends a part until the engine has answered for its samples.
    async fn send(&mut self, batch: &Batch, part: &Part) -> (Answer, Encoded) {
        let mut backoff = Backoff::default();
        let mut is_retry = false;
        loop {
            let mut sent = self.encode(batch, part, false);
            if sent.written.total() == 0 {
                return (Answer::Accepted, sent);
            }
            if is_retry {
                self.destination.metrics.samples_retried.inc_by(sent.written.total() as u64);
            }
            is_retry = true;
            let encoding = self.destination.compression.encoding();
            let Ok(body) = self.compressor.compress(&self.body, encoding) else {
                return (Answer::TooLarge, sent);
            };
            sent.bytes = body.len();
            let abort = self.abort.clone();
            let reply = tokio::select! {
                reply = self.request(body, encoding) => reply,
                () = abort.cancelled() => return (Answer::Aborted, sent),
            };
            if reply.may_be_stored {
                self.uncertain.note(batch, part);
            }
            match Next::after(reply.outcome, &self.destination, encoding, &mut backoff) {
                Next::Done(answer) => return (answer, sent),
                Next::Again => {}
                Next::Wait(delay) => tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = abort.cancelled() => return (Answer::Aborted, sent),
                },
            }
        }
    }

    /// Encodes a part into the body, without entries that are too old. `only_uncertain`: only
    /// those that the engine may have.
    fn encode(&mut self, batch: &Batch, part: &Part, only_uncertain: bool) -> Encoded {
        self.body.clear();
        let mut encoded = Encoded::default();
        let mut index = part.entries.start;
        // Series with points at several times have their labels once.
        for entries in part.of(batch).chunk_by(|one, next| one.has_series_of(next)) {
            let first = index;
            index += entries.len();
            let Some(Entry { labels, layout, .. }) = entries.first().map(|entry| &**entry) else {
                continue;
            };
            let is_left_out = |at: usize| only_uncertain && !self.uncertain.contains(first + at);
            let entries = entries.iter().enumerate().filter(|(at, _)| !is_left_out(*at));
            let points = self.points(entries.map(|(_, entry)| &**entry), part, &mut encoded);
            let (cells, out) = (part.cells.clone(), &mut self.body);
            let written = self.encoder.series(labels, layout, &points, cells, out);
            encoded.written = encoded.written.plus(written);
        }
        self.encoder.finish(&mut self.body);
        encoded
    }

    /// Returns the points of entries that are not too old.
    fn points<'e>(
        &self,
        entries: impl Iterator<Item = &'e Entry>,
        part: &Part,
        encoded: &mut Encoded,
    ) -> Vec<Points<'e>> {
        let oldest_ms = self.oldest_allowed();
        let mut points = Vec::new();
        for entry in entries {
            let unix_ms = entry.unix_ms;
            if unix_ms < oldest_ms {
                let agent_up = self.destination.settings.rules.agent_up();
                let expired = part.points_of(entry, agent_up);
                encoded.expired = encoded.expired.plus(expired);
                continue;
            }
            encoded.newest_ms = encoded.newest_ms.max(unix_ms);
            points.push(match &entry.content {
                Content::Report { values, .. } => Points::samples(values, unix_ms),
                Content::Markers { series, .. } => Points::markers(series, unix_ms),
            });
        }
        points
    }

    /// Returns the time before which samples are dropped, in unix milliseconds.
    fn oldest_allowed(&self) -> i64 {
        let max_age = self.destination.settings.max_age.as_millis();
        self.now_ms().saturating_sub_unsigned(u64::try_from(max_age).unwrap_or(u64::MAX))
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.collector.clock.unix_ms()).unwrap_or(i64::MAX)
    }

    async fn request(&mut self, body: Bytes, encoding: Encoding) -> Reply {
        let started = Instant::now();
        let reply = self.client.send(body, encoding).await;
        let metrics = &self.destination.metrics;
        metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
        metrics.request(reply.outcome.status());
        if let Some(offset) = reply.clock_offset {
            self.destination.clock_offset(offset);
        }
        reply
    }

    /// Counts the points of a part after its last answer.
    fn count(&mut self, batch: &Batch, part: &Part, answer: &Answer, sent: Encoded) {
        let is_refused = matches!(answer, Answer::Refused { .. });
        let uncertain = if is_refused { self.uncertain_samples(batch, part) } else { 0 };
        let metrics = &self.destination.metrics;
        let Written { samples, markers } = sent.written;
        match answer {
            Answer::Accepted => {
                metrics.samples.inc_by(samples as u64);
                metrics.stale_markers.inc_by(markers as u64);
                metrics.bytes.inc_by(sent.bytes as u64);
                self.destination.accepted_until(sent.newest_ms);
            }
            Answer::TooLarge => metrics.dropped(DropReason::TooLarge, samples),
            Answer::Aborted => metrics.dropped(DropReason::Stopped, samples),
            Answer::Refused { status, excerpt } => {
                let rejected = samples.saturating_sub(uncertain);
                metrics.dropped(DropReason::Rejected, rejected);
                metrics.samples_uncertain.inc_by(uncertain as u64);
                metrics.stale_markers_superseded.inc_by(markers as u64);
                if samples > 0 {
                    self.log_refused(batch, part, *status, excerpt, rejected == 0);
                }
            }
        }
        if matches!(answer, Answer::TooLarge | Answer::Aborted) {
            metrics.stale_markers_dropped.inc_by(markers as u64);
        }
        metrics.dropped(DropReason::TooOld, sent.expired.samples);
        metrics.stale_markers_dropped.inc_by(sent.expired.markers as u64);
    }

    /// Returns how many samples of a part the engine may have, though a request with them failed.
    fn uncertain_samples(&mut self, batch: &Batch, part: &Part) -> usize {
        if batch.is_end() || self.uncertain.is_empty() {
            return 0;
        }
        self.encode(batch, part, true).written.samples
    }

    fn log_refused(
        &self,
        batch: &Batch,
        part: &Part,
        status: u16,
        excerpt: &str,
        is_uncertain: bool,
    ) {
        let line = if is_uncertain {
            "samples refused that the engine may have"
        } else {
            "samples refused by the engine"
        };
        let Some(count) = self.collector.log_due((line, "")) else { return };
        let agent = part.of(batch).first().map(|entry| entry.agent()).unwrap_or_default();
        let remote_name = &*self.destination.settings.name;
        if is_uncertain {
            info!(remote_name, status, agent, excerpt, count, "{line}");
        } else {
            warn!(remote_name, status, agent, excerpt, count, "{line}");
        }
    }
}
