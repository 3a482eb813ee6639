//! The collector's own metrics that are updated as events happen.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use fleetgauge_proto::{Code, Kind};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::auth::Denied;
use crate::peers::close_reason::CloseReason;

/// Bucket bounds of the time from accept to Welcome, in seconds: from loopback to a satellite link,
/// and the five seconds of a challenge.
const HANDSHAKE_BOUNDS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bucket bounds of the time from a scrape's request to its last byte, in seconds: from ten agents
/// to a million.
const SCRAPE_BOUNDS: [f64; 11] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The label `code`: a Reject code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    code: &'static str,
}

/// The label `reason`: why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    reason: &'static str,
}

/// The label `cause`: why an agent was denied its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    cause: &'static str,
}

/// The label `kind`: a kind of frame.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    kind: &'static str,
}

/// The collector's own metrics that are updated as events happen.
#[derive(Debug)]
pub struct Metrics {
    connections: Counter,
    closed: Family<ReasonLabel, Counter>,
    rejects: Family<CodeLabel, Counter>,
    frames: Family<KindLabel, Counter>,
    /// Reports whose values were stored.
    pub reports: Counter,
    /// Values of these reports.
    pub samples: Counter,
    report_frames: Counter,
    /// Bytes read from agents.
    pub received_bytes: Counter,
    /// Bytes written to agents.
    pub sent_bytes: Counter,
    /// Connections closed without lingering after a Reject.
    pub lingers_skipped: Counter,
    /// Failed calls of `accept`.
    pub accept_errors: Counter,
    /// Times that a source address was paused after failures.
    pub address_pauses: Counter,
    /// Families that the shared pages suppressed because their name has another type there.
    pub family_conflicts: Counter,
    /// Families of unknown kinds, once for each catalog.
    pub families_skipped: Counter,
    /// Open agent connections, handshakes included.
    pub open: Gauge,
    /// Seconds from accept to Welcome.
    pub handshake_seconds: Histogram,
    /// Seconds from a page request until the last piece of the page was passed to the connection;
    /// only of pages that were completed.
    pub scrape_seconds: Histogram,
    /// Scrapes refused for lack of a permit.
    pub scrapes_refused: Counter,
    /// Scrapes whose client disconnected or stalled.
    pub scrapes_broken: Counter,
    /// HTTP connections evicted for newer ones.
    pub http_evicted: Counter,
    /// Streams to open pages.
    pub watchers: Gauge,
    /// Streams refused because too many were open.
    pub watchers_refused: Counter,
    /// Streams whose client did not take an event in time.
    pub watchers_cut: Counter,
    unauthorized: Family<CauseLabel, Counter>,
    /// HTTP requests without a valid credential, or without the right to delete.
    pub http_unauthorized: Counter,
    /// HTTP connections on which TLS failed.
    pub http_tls_failures: Counter,
    /// Failed reloads of the configuration.
    pub reload_failures: Counter,
    /// Time of the last successful reload of the configuration, in unix seconds.
    pub reload_time: Gauge<f64, AtomicU64>,
    /// 1 if the last reload of the configuration succeeded, else 0.
    pub reload_successful: Gauge,
    /// Failures to read or write the state file.
    pub state_errors: Counter,
    /// Seconds in which the process was frozen, as while the machine was suspended.
    pub frozen_seconds: Counter<f64, AtomicU64>,
}

impl Metrics {
    /// Creates the metrics and registers them. Every known label value starts at zero.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            connections: Counter::default(),
            closed: Family::default(),
            rejects: Family::default(),
            frames: Family::default(),
            reports: Counter::default(),
            samples: Counter::default(),
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
            watchers: Gauge::default(),
            watchers_refused: Counter::default(),
            watchers_cut: Counter::default(),
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
        for reason in CloseReason::WITHOUT_REJECT {
            drop(metrics.closed.get_or_create(&ReasonLabel { reason: reason.reason() }));
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
            "Open agent connections, handshakes included",
            self.open.clone(),
        );
        to.register(
            "fleetgauge_connections_closed",
            "Agent connections closed, by reason",
            self.closed.clone(),
        );
        to.register("fleetgauge_rejects", "Reject frames sent, by code", self.rejects.clone());
        to.register(
            "fleetgauge_frames",
            "Frames received from agents, by kind",
            self.frames.clone(),
        );
        to.register("fleetgauge_reports", "Reports stored", self.reports.clone());
        to.register(
            "fleetgauge_samples",
            "Values of stored reports, unchanged and absent ones included",
            self.samples.clone(),
        );
        to.register_with_unit(
            "fleetgauge_received",
            "Bytes received from agents",
            Unit::Bytes,
            self.received_bytes.clone(),
        );
        to.register_with_unit(
            "fleetgauge_sent",
            "Bytes sent to agents",
            Unit::Bytes,
            self.sent_bytes.clone(),
        );
        to.register(
            "fleetgauge_lingers_skipped",
            "Rejected connections closed without waiting for the peer to read the Reject",
            self.lingers_skipped.clone(),
        );
        to.register(
            "fleetgauge_accept_errors",
            "Failures to accept an agent connection",
            self.accept_errors.clone(),
        );
        to.register(
            "fleetgauge_address_pauses",
            "Times that a source address was blocked for too many failed connections",
            self.address_pauses.clone(),
        );
        to.register(
            "fleetgauge_family_conflicts",
            "Families suppressed at their declaration: their name has another type on shared pages",
            self.family_conflicts.clone(),
        );
        to.register(
            "fleetgauge_families_skipped",
            "Families of a type unknown to this collector",
            self.families_skipped.clone(),
        );
        to.register_with_unit(
            "fleetgauge_handshake",
            "Time from accept to Welcome",
            Unit::Seconds,
            self.handshake_seconds.clone(),
        );
        to.register_with_unit(
            "fleetgauge_scrape",
            "Time from a scrape's request to its last byte",
            Unit::Seconds,
            self.scrape_seconds.clone(),
        );
        to.register(
            "fleetgauge_scrapes_refused",
            "Scrapes refused because too many were running",
            self.scrapes_refused.clone(),
        );
        to.register(
            "fleetgauge_scrapes_broken",
            "Scrapes whose client disconnected or stalled",
            self.scrapes_broken.clone(),
        );
        to.register(
            "fleetgauge_http_connections_evicted",
            "HTTP connections evicted in favor of others",
            self.http_evicted.clone(),
        );
        to.register(
            "fleetgauge_http_watchers",
            "Streams that keep open pages up to date",
            self.watchers.clone(),
        );
        to.register(
            "fleetgauge_http_watchers_refused",
            "Streams for open pages refused because too many were open",
            self.watchers_refused.clone(),
        );
        to.register(
            "fleetgauge_http_watchers_cut",
            "Streams for open pages whose client stalled",
            self.watchers_cut.clone(),
        );
        to.register(
            "fleetgauge_unauthorized",
            "Agent id claims denied by authorization, by cause",
            self.unauthorized.clone(),
        );
        to.register(
            "fleetgauge_http_unauthorized",
            "HTTP requests without a valid credential, or without the right to delete",
            self.http_unauthorized.clone(),
        );
        to.register(
            "fleetgauge_http_tls_failures",
            "HTTP connections on which TLS failed",
            self.http_tls_failures.clone(),
        );
        to.register(
            "fleetgauge_reload_failures",
            "Failed configuration reloads",
            self.reload_failures.clone(),
        );
        to.register_with_unit(
            "fleetgauge_last_reload_timestamp",
            "Time at which the configuration in force was loaded",
            Unit::Seconds,
            self.reload_time.clone(),
        );
        to.register(
            "fleetgauge_last_reload_successful",
            "Whether the last configuration reload succeeded",
            self.reload_successful.clone(),
        );
        to.register(
            "fleetgauge_state_errors",
            "Failures to read or write a file of state_dir",
            self.state_errors.clone(),
        );
        to.register_with_unit(
            "fleetgauge_frozen",
            "Time in which the collector was frozen; agent deadlines are extended by the same time",
            Unit::Seconds,
            self.frozen_seconds.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        to.register("fleetgauge_build", "Version of the collector", build);
    }

    /// Counts a connection.
    pub fn connected(&self) {
        self.connections.inc();
        self.open.inc();
    }

    /// Counts the end of a connection for this reason.
    pub fn closed(&self, reason: &'static str) {
        self.closed.get_or_create(&ReasonLabel { reason }).inc();
        self.open.dec();
    }

    /// Counts a Reject that was sent with this code.
    pub fn rejected(&self, code: Code) {
        self.rejects.get_or_create(&CodeLabel { code: code.reason() }).inc();
    }

    /// Counts an agent that was denied its id.
    pub fn unauthorized(&self, denied: Denied) {
        self.unauthorized.get_or_create(&CauseLabel { cause: denied.cause() }).inc();
    }

    /// Records a successful reload at this time.
    pub fn reload_succeeded(&self, now: SystemTime) {
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.reload_time.set(since_1970.as_secs_f64());
        self.reload_successful.set(1);
    }

    /// Counts a received frame of this kind.
    pub fn frame(&self, kind: Kind) {
        if kind == Kind::Report {
            self.report_frames.inc();
        } else {
            self.frames_of(kind).inc();
        }
    }

    /// Returns the number of reports that were received.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.report_frames.get()
    }

    fn frames_of(&self, kind: Kind) -> Counter {
        let kind = match kind {
            Kind::Hello => "hello",
            Kind::Welcome => "welcome",
            Kind::Catalog => "catalog",
            Kind::Rows => "rows",
            Kind::Report => "report",
            Kind::Ping => "ping",
            Kind::Pong => "pong",
            Kind::Drain => "drain",
            Kind::Reject => "reject",
            Kind::Bye => "bye",
            Kind::Acknowledge => "acknowledge",
            Kind::Resend => "resend",
            Kind::Skippable(_) => "skipped",
        };
        self.frames.get_or_create(&KindLabel { kind }).clone()
    }
}
