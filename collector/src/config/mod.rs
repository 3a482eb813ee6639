//! The settings of a collector. A [`Config`] contains only valid settings.

mod bounds;
mod declarations;
mod exposure;
mod files;
mod flags;
mod headings;
mod parse;
mod remote_write;
mod state_dir;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_common::log::LogFormat;
use fleetgauge_common::secret_file::FileError;
use fleetgauge_common::settings::{Effective, Layers, SettingError, SettingErrors};

use crate::auth::{AuthPolicy, Credentials, Labels, Readers};
use crate::http::scrape_target::ScrapeTarget;
use crate::registry::ConfiguredKinds;
use crate::roster::{Expected, RosterLimits};
use crate::tls::Files as TlsFiles;

pub use bounds::Bounds;
pub use files::Files;
pub use flags::{Flags, Sources};
pub use remote_write::{Compression, DestinationSettings, MAX_DESTINATIONS, Protocol};

use declarations::PROGRAM;
use exposure::Guard;

/// Number of file descriptors reserved for everything but agents. Half of them are for connections
/// that linger after a Reject, the others for HTTP, listeners, the runtime and logs.
pub const RESERVED_FDS: u64 = 256;

/// How the roster is saved to disk.
#[derive(Debug, Clone)]
pub struct StateSettings {
    /// The state directory; `None` to save nothing.
    pub directory: Option<PathBuf>,
    /// Interval at which the roster is saved.
    pub every: Duration,
    /// Maximum size of the journal of forwarded agents, in bytes; 0 for none.
    pub journal_bytes: u64,
}

impl StateSettings {
    /// Whether a collector that forwards keeps a journal of its agents.
    pub(crate) fn keeps_journal(&self) -> bool {
        self.directory.is_some() && self.journal_bytes > 0
    }
}

/// Filter and format of the log.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Minimum level, or directives for single modules.
    pub filter: String,
    /// Format of the log lines.
    pub format: LogFormat,
}

/// All settings of a collector.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses of the agent port.
    pub listen: Vec<SocketAddr>,
    /// Address of the HTTP port.
    pub http: SocketAddr,
    /// Address that service discovery gives Prometheus as scrape target; `None` to use the `Host`
    /// of the request.
    pub advertise: Option<ScrapeTarget>,
    /// Compatibility with the predecessor: a `client_no` label with the peer's port, and
    /// `clients_connected`.
    pub classic: bool,
    /// Metric types that the operator has set for single families.
    pub configured_kinds: ConfiguredKinds,
    /// Time that agents get to disconnect during a graceful shutdown.
    pub drain: Duration,
    /// How long a runtime thread waits before it parks, so that it wakes once for several reports.
    pub coalesce: Duration,
    /// Limits of connections, memory, catalogs, messages and scrapes.
    pub bounds: Bounds,
    /// Limits of the roster, and the agents that are expected to connect.
    pub roster: RosterLimits,
    /// How the roster is saved to disk.
    pub state: StateSettings,
    /// Engines that the collector forwards to, at most [`MAX_DESTINATIONS`].
    pub remote_write: Vec<DestinationSettings>,
    /// Authorization policy, from the settings and the files that they name.
    pub auth: Arc<AuthPolicy>,
    /// Filter and format of the log.
    pub log: LogSettings,
    /// Flags and environment that the settings were read from. A reload uses them again.
    pub sources: Sources,
    /// All settings in force, for `--check` and reloads.
    pub effective: Effective,
    /// Stamps of all files that were read, to detect changes.
    pub files: Files,
}

impl Config {
    /// Reads and validates the settings.
    ///
    /// # Errors
    /// If settings are invalid; the error lists all of them.
    pub fn try_new(sources: impl Into<Sources>) -> Result<Self, SettingErrors> {
        Self::try_after(sources, &AuthPolicy::default())
    }

    /// Like [`Self::try_new`], for a reload. Reuses unchanged parts of the policy `before`.
    ///
    /// # Errors
    /// If settings are invalid; the error lists all of them.
    pub fn try_after(
        sources: impl Into<Sources>,
        before: &AuthPolicy,
    ) -> Result<Self, SettingErrors> {
        let sources = sources.into();
        let mut files = Files::default();
        // Each file is stamped before it is read, so that a change in between causes a reload.
        let config = Layers::config_path(&PROGRAM, &sources.flags.0, &sources.environment);
        files.add(config.as_deref());
        let mut layers = Layers::read(PROGRAM, &sources.flags.0, &sources.environment);
        for name in ["credentials", "http_credentials", "expected_agents"] {
            files.add(layers.path(name).as_deref());
        }
        let (tls, http_tls) = (tls::agents(&mut layers), tls::http(&mut layers));
        for path in [&tls, &http_tls].into_iter().flatten().flat_map(TlsFiles::paths) {
            files.add(Some(path));
        }
        let auth = auth(&mut layers, (tls, http_tls), before);
        let (listen, http) = addresses(&mut layers);
        let bounds = bounds::bounds(&mut layers);
        let roster = roster_limits(&mut layers);
        let configured_kinds =
            layers.list("types").iter().filter_map(|text| parse::pin(text).ok()).collect();
        let advertise = layers.text("advertise").and_then(|text| parse::target(text).ok());
        let remote_write = remote_write::destinations(&mut layers);
        let (classic, log) = (layers.switch("classic"), log(&layers));
        let (drain, coalesce) =
            (layers.duration("drain_timeout"), layers.duration("coalesce_delay"));
        let state = StateSettings {
            every: layers.duration("state_interval"),
            journal_bytes: layers.size("journal_size"),
            directory: layers.path("state_dir"),
        };
        if sources.flags.check() {
            state_dir::check(&mut layers);
        }
        let effective = layers.finish()?;
        let auth = Arc::new(auth);
        Ok(Self {
            listen,
            http,
            advertise,
            classic,
            configured_kinds,
            drain,
            coalesce,
            bounds,
            roster,
            state,
            remote_write,
            auth,
            log,
            sources,
            effective,
            files,
        })
    }
}

impl Default for Config {
    /// Loopback addresses, free ports, and the documented limits.
    fn default() -> Self {
        let free =
            Flags::default().with("listen", "127.0.0.1:0").with("http_listen", "127.0.0.1:0");
        Self::try_new(free).unwrap_or_else(|bad| unreachable!("the defaults are valid: {bad}"))
    }
}

/// Builds the authorization policy. Records invalid parts as errors in `layers`, and omits them.
fn auth(
    layers: &mut Layers,
    (tls, http_tls): (Option<TlsFiles>, Option<TlsFiles>),
    before: &AuthPolicy,
) -> AuthPolicy {
    let of = |name: &'static str| move |bad: FileError| SettingError::new(name, bad.to_string());
    let certified = layers.is_set("tls_client_ca");
    let agents = layers.path("credentials").and_then(|path| {
        let read = Credentials::read(&path, certified, before.agents.as_ref());
        layers.accept(read.map_err(of("credentials")))
    });
    let readers = layers
        .path("http_credentials")
        .and_then(|path| layers.accept(Readers::read(&path).map_err(of("http_credentials"))));
    let labels = layers.is_set("allow_labels").then(|| layers.list("allow_labels"));
    AuthPolicy {
        agents,
        readers,
        labels: labels.and_then(|names| Labels::only(&names).ok()).unwrap_or_default(),
        tls: tls::load(layers, tls.as_ref(), before.tls.as_ref()),
        http_tls: tls::load(layers, http_tls.as_ref(), before.http_tls.as_ref()),
        client_name: tls::client_name(layers),
    }
}

/// Returns the addresses of both ports, which must be protected unless they are loopback addresses.
fn addresses(layers: &mut Layers) -> (Vec<SocketAddr>, SocketAddr) {
    let insecure = layers.switch("insecure");
    let guard = |credentials, client_ca, certificate| Guard {
        authenticated: layers.is_set(credentials) || layers.is_set(client_ca),
        encrypted: layers.is_set(certificate),
        insecure,
    };
    let agents = guard("credentials", "tls_client_ca", "tls_certificate");
    let readers = guard("http_credentials", "http_tls_client_ca", "http_tls_certificate");
    let listen = layers.list("listen");
    if listen.is_empty() {
        layers.reject(SettingError::new("listen", "is empty; give at least one address"));
    }
    let listen: Vec<_> = listen.iter().filter_map(|text| parse::address(text).ok()).collect();
    for address in &listen {
        layers.accept(exposure::agents(*address, agents));
    }
    let http = layers.text("http_listen").and_then(|text| parse::address(text).ok());
    if let Some(http) = http {
        layers.accept(exposure::http(http, readers));
    }
    (listen, http.unwrap_or_else(|| ([127, 0, 0, 1], 0).into()))
}

fn roster_limits(layers: &mut Layers) -> RosterLimits {
    let expected = layers.path("expected_agents").and_then(|path| {
        let read = Expected::read(&path);
        layers.accept(read.map_err(|bad| SettingError::new("expected_agents", bad.to_string())))
    });
    RosterLimits {
        departed: usize::try_from(layers.number("max_departed")).unwrap_or(usize::MAX),
        departed_for: layers.duration("departed_retention"),
        return_time: layers.duration("return_timeout"),
        expected: expected.unwrap_or_default(),
    }
}

fn log(layers: &Layers) -> LogSettings {
    LogSettings {
        filter: layers.text("log").unwrap_or_default().to_owned(),
        format: layers.choice("log_format"),
    }
}
