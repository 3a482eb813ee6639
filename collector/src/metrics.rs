//! The collector's own metrics.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use fleetgauge_proto::{Code, Kind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::ending::Ending;
use crate::trust::Denied;

/// Seconds from accept to Welcome: loopback to a satellite link, and the five seconds of a disputed id.
const HANDSHAKE_BOUNDS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds from request to last byte: ten agents to a million.
const SCRAPE_BOUNDS: [f64; 11] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A label `code`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    code: &'static str,
}

/// A label `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    reason: &'static str,
}

/// A label `cause`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    cause: &'static str,
}

/// A label `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    kind: &'static str,
}

/// What the collector counts of itself.
#[derive(Debug)]
pub struct Metrics {
    connections: Counter,
    closed: Family<ReasonLabel, Counter>,
    rejects: Family<CodeLabel, Counter>,
    frames: Family<KindLabel, Counter>,
    /// Reports taken in.
    pub reports: Counter,
    report_frames: Counter,
    /// Bytes read from agents.
    pub received_bytes: Counter,
    /// Bytes written to agents.
    pub sent_bytes: Counter,
    /// Connections that were closed without waiting for the Reject to be read.
    pub lingers_skipped: Counter,
    /// Times that accepting failed.
    pub accept_errors: Counter,
    /// Times that an address was paused.
    pub address_pauses: Counter,
    /// Times that a family was left off the shared pages because its name means something else there.
    pub family_conflicts: Counter,
    /// Families whose kind this collector does not know, once a schema.
    pub families_skipped: Counter,
    /// Agent connections open, those in their handshake included.
    pub open: Gauge,
    /// Seconds from accept to Welcome.
    pub handshake_seconds: Histogram,
    /// Seconds from a scrape's request to its last byte.
    pub scrape_seconds: Histogram,
    /// Scrapes refused because too many were running.
    pub scrapes_refused: Counter,
    /// Scrapes whose reader went away or stalled.
    pub scrapes_broken: Counter,
    /// HTTP connections that gave way to newer ones.
    pub http_evicted: Counter,
    unauthorized: Family<CauseLabel, Counter>,
    /// HTTP requests without a credential that lets them read.
    pub http_unauthorized: Counter,
    /// HTTP connections on which TLS failed.
    pub http_tls_failures: Counter,
    /// Times that the settings' files could not be read anew.
    pub reload_failures: Counter,
    /// When those that are in force were read, in unix seconds.
    pub reload_time: Gauge<f64, AtomicU64>,
    /// 1 if the last attempt to read them succeeded.
    pub reload_successful: Gauge,
    /// Times that the state file could not be read or written.
    pub state_errors: Counter,
    /// Seconds by which the sweep was late because the process did not run.
    pub frozen_seconds: Counter<f64, AtomicU64>,
}

impl Metrics {
    /// Metrics at zero, every label value that can come already there, and their registration.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            connections: Counter::default(),
            closed: Family::default(),
            rejects: Family::default(),
            frames: Family::default(),
            reports: Counter::default(),
            report_frames: Counter::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            lingers_skipped: Counter::default(),
            accept_errors: Counter::default(),
            address_pauses: Counter::default(),
            family_conflicts: Counter::default(),
            families_skipped: Counter::default(),
            open: Gauge::default(),
            handshake_seconds: Histogram::new(HANDSHAKE_BOUNDS),
            scrape_seconds: Histogram::new(SCRAPE_BOUNDS),
            scrapes_refused: Counter::default(),
            scrapes_broken: Counter::default(),
            http_evicted: Counter::default(),
            unauthorized: Family::default(),
            http_unauthorized: Counter::default(),
            http_tls_failures: Counter::default(),
            reload_failures: Counter::default(),
            reload_time: Gauge::default(),
            reload_successful: Gauge::default(),
            state_errors: Counter::default(),
            frozen_seconds: Counter::default(),
        };
        metrics.register(registry);
        for code in Code::ALL {
            drop(metrics.rejects.get_or_create(&CodeLabel { code: code.reason() }));
            drop(metrics.closed.get_or_create(&ReasonLabel { reason: code.reason() }));
        }
        for denied in Denied::ALL {
            drop(metrics.unauthorized.get_or_create(&CauseLabel { cause: denied.cause() }));
        }
        for ending in Ending::UNTOLD {
            drop(metrics.closed.get_or_create(&ReasonLabel { reason: ending.reason() }));
        }
        Self { report_frames: metrics.frames_of(Kind::Report), ..metrics }
    }

    fn register(&self, to: &mut Registry) {
        to.register(
            "fleetgauge_connections",
            "Agent connections accepted",
            self.connections.clone(),
        );
        to.register(
            "fleetgauge_connections_open",
            "Agent connections open, handshakes included",
            self.open.clone(),
        );
        to.register(
            "fleetgauge_connections_closed",
            "Agent connections ended, by reason",
            self.closed.clone(),
        );
        to.register("fleetgauge_rejects", "Rejects given, by code", self.rejects.clone());
        to.register(
            "fleetgauge_frames",
            "Frames received from agents, by kind",
            self.frames.clone(),
        );
        to.register("fleetgauge_reports", "Reports taken in", self.reports.clone());
        to.register_with_unit(
            "fleetgauge_received",
            "Read from agents",
            Unit::Bytes,
            self.received_bytes.clone(),
        );
        to.register_with_unit(
            "fleetgauge_sent",
            "Written to agents",
            Unit::Bytes,
            self.sent_bytes.clone(),
        );
        to.register(
            "fleetgauge_lingers_skipped",
            "Connections closed at once because too many were waiting for a Reject to be read",
            self.lingers_skipped.clone(),
        );
        to.register(
            "fleetgauge_accept_errors",
            "Failures to accept a connection",
            self.accept_errors.clone(),
        );
        to.register(
            "fleetgauge_address_pauses",
            "Times that an address was paused because too many of its connections had failed",
            self.address_pauses.clone(),
        );
        to.register(
            "fleetgauge_family_conflicts",
            "Families left off the shared pages because their name means something else there",
            self.family_conflicts.clone(),
        );
        to.register(
            "fleetgauge_families_skipped",
            "Families of a kind that this collector does not know",
            self.families_skipped.clone(),
        );
        to.register_with_unit(
            "fleetgauge_handshake",
            "From accept to Welcome",
            Unit::Seconds,
            self.handshake_seconds.clone(),
        );
        to.register_with_unit(
            "fleetgauge_scrape",
            "From a scrape's request to its last byte",
            Unit::Seconds,
            self.scrape_seconds.clone(),
        );
        to.register(
            "fleetgauge_scrapes_refused",
            "Scrapes refused: too many at once",
            self.scrapes_refused.clone(),
        );
        to.register(
            "fleetgauge_scrapes_broken",
            "Scrapes whose reader left or stalled",
            self.scrapes_broken.clone(),
        );
        to.register(
            "fleetgauge_http_connections_evicted",
            "HTTP connections that gave way to others",
            self.http_evicted.clone(),
        );
        to.register(
            "fleetgauge_unauthorized",
            "Agents whose credential did not allow the id that they claimed, by cause",
            self.unauthorized.clone(),
        );
        to.register(
            "fleetgauge_http_unauthorized",
            "HTTP requests refused for want of a credential",
            self.http_unauthorized.clone(),
        );
        to.register(
            "fleetgauge_http_tls_failures",
            "HTTP connections on which TLS failed",
            self.http_tls_failures.clone(),
        );
        to.register(
            "fleetgauge_reload_failures",
            "Times that the settings' files could not be read anew",
            self.reload_failures.clone(),
        );
        to.register_with_unit(
            "fleetgauge_last_reload_timestamp",
            "When the settings' files that are in force were read",
            Unit::Seconds,
            self.reload_time.clone(),
        );
        to.register(
            "fleetgauge_last_reload_successful",
            "1 if what the settings' files say is in force, 0 if what they said before",
            self.reload_successful.clone(),
        );
        to.register(
            "fleetgauge_state_errors",
            "Times that the state file could not be read or written",
            self.state_errors.clone(),
        );
        to.register_with_unit(
            "fleetgauge_frozen",
            "Time in which the collector did not run and agents were not held to their deadlines",
            Unit::Seconds,
            self.frozen_seconds.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        to.register("fleetgauge_build", "Which collector this is", build);
    }

    /// Counts a connection.
    pub fn connected(&self) {
        self.connections.inc();
        self.open.inc();
    }

    /// Counts the end of a connection.
    pub fn closed(&self, reason: &'static str) {
        self.closed.get_or_create(&ReasonLabel { reason }).inc();
        self.open.dec();
    }

    /// Counts a Reject.
    pub fn rejected(&self, code: Code) {
        self.rejects.get_or_create(&CodeLabel { code: code.reason() }).inc();
    }

    /// Counts an agent that claimed an id which is not its own.
    pub fn unauthorized(&self, denied: Denied) {
        self.unauthorized.get_or_create(&CauseLabel { cause: denied.cause() }).inc();
    }

    /// Notes that the settings' files were read, at this time.
    pub fn read_settings(&self, now: SystemTime) {
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.reload_time.set(since_1970.as_secs_f64());
        self.reload_successful.set(1);
    }

    /// Counts a frame.
    pub fn frame(&self, kind: Kind) {
        if kind == Kind::Report {
            self.report_frames.inc();
        } else {
            self.frames_of(kind).inc();
        }
    }

    fn frames_of(&self, kind: Kind) -> Counter {
        let kind = match kind {
            Kind::Hello => "hello",
            Kind::Welcome => "welcome",
            Kind::Schema => "schema",
            Kind::Report => "report",
            Kind::Ping => "ping",
            Kind::Pong => "pong",
            Kind::Drain => "drain",
            Kind::Reject => "reject",
            Kind::Bye => "bye",
            Kind::Skippable(_) => "skipped",
        };
        self.frames.get_or_create(&KindLabel { kind }).clone()
    }
}

/// Figures that are read when somebody asks.
pub struct OnScrape<F>(
    /// Gives them.
    pub F,
);

impl<F> std::fmt::Debug for OnScrape<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnScrape")
    }
}

/// A figure of the moment.
#[derive(Debug, Clone, Copy)]
pub enum Figure {
    /// Name, help and value of a gauge.
    Gauge(&'static str, &'static str, f64),
    /// Name without `_total`, help and value of a counter.
    Counter(&'static str, &'static str, f64),
}

impl<F: Fn() -> Vec<Figure> + Send + Sync + 'static> Collector for OnScrape<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for figure in (self.0)() {
            match figure {
                Figure::Gauge(name, help, value) => {
                    let gauge = ConstGauge::new(value);
                    gauge.encode(encoder.encode_descriptor(
                        name,
                        help,
                        None,
                        gauge.metric_type(),
                    )?)?;
                }
                Figure::Counter(name, help, value) => {
                    let counter = ConstCounter::new(value);
                    let metric =
                        encoder.encode_descriptor(name, help, None, counter.metric_type())?;
                    counter.encode(metric)?;
                }
            }
        }
        Ok(())
    }
}
