//! Settings: flags, then environment, then configuration file, then defaults. A [`Config`] is
//! valid.

mod bounds;
pub mod error;
mod exposure;
mod files;
mod flags;
mod settings_file;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::Violation;
use fleetgauge_proto::schema::FamilyKind;

use crate::auth::{AuthPolicy, BadFile, Credentials, Labels, Readers};
use crate::http::scrape_target::ScrapeTarget;
use crate::registry::Pins;
use crate::roster::{Expected, RosterLimits};
use crate::tls::Files as TlsFiles;

pub use bounds::Bounds;
pub use files::Files;
pub use flags::Flags;

use error::BadSetting;
use exposure::Guard;
use flags::File;

/// Default address of the agent port.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:45678";
/// Default address of the HTTP port.
pub const DEFAULT_HTTP: &str = "127.0.0.1:1234";

/// File descriptors reserved for everything but agents: connections that linger after a Reject
/// (half of them), HTTP, the listeners, the runtime, logs.
pub const RESERVED_FDS: u64 = 256;

/// Persistence of the roster.
#[derive(Debug, Clone)]
pub struct StateSettings {
    /// The state directory; `None` to save nothing.
    pub directory: Option<PathBuf>,
    /// Interval of saves.
    pub every: Duration,
}

/// All settings of a collector.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses of the agent port.
    pub listen: Vec<SocketAddr>,
    /// Address of the HTTP port.
    pub http: SocketAddr,
    /// Scrape target to advertise instead of the request's `Host`.
    pub advertise: Option<ScrapeTarget>,
    /// Compatibility with the predecessor: a `client_no` label with the peer's port, and
    /// `clients_connected`.
    pub classic: bool,
    /// Family kinds set by the operator.
    pub pins: Pins,
    /// Time for agents to leave during shutdown.
    pub drain: Duration,
    /// Pause of the connections' threads before they park, so that they wake once for several
    /// reports.
    pub coalesce: Duration,
    /// Limits.
    pub bounds: Bounds,
    /// Limits of the roster, and the expected agents.
    pub roster: RosterLimits,
    /// Persistence of the roster.
    pub state: StateSettings,
    /// Authorization policy.
    pub auth: Arc<AuthPolicy>,
    /// Log filter.
    pub log: String,
    /// Where the settings come from.
    pub source: Source,
}

/// Where settings come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Flags and environment.
    pub given: Flags,
    /// `given`, completed from the configuration file.
    pub settings: Flags,
    /// Stamps of all files.
    pub files: Files,
}

impl Config {
    /// Builds the configuration from flags (clap adds the environment) and the file that they name.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn try_new(flags: Flags) -> Result<Self, BadSetting> {
        Self::try_after(flags, &AuthPolicy::default())
    }

    /// Like [`Self::try_new`], for a reload of the policy `before`.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn try_after(given: Flags, before: &AuthPolicy) -> Result<Self, BadSetting> {
        let mut files = Files::default();
        files.add(given.config.as_deref());
        let file = given.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let flags = given.clone().or(file);
        files.add(flags.credentials.as_deref());
        files.add(flags.http_credentials.as_deref());
        files.add(flags.expect.as_deref());
        let (tls, http_tls) = (tls::agents(&flags)?, tls::http(&flags)?);
        for path in [&tls, &http_tls].into_iter().flatten().flat_map(TlsFiles::paths) {
            files.add(Some(path));
        }
        let auth = auth(&flags, (tls, http_tls), before)?;
        let insecure = flags.insecure.unwrap_or(false);
        let agents = Guard {
            authenticated: auth.agents.is_some() || auth.requires_certificates(),
            encrypted: auth.tls.is_some(),
            insecure,
        };
        let default = [DEFAULT_LISTEN.to_owned()];
        let listen = flags.listen.as_deref().filter(|given| !given.is_empty()).unwrap_or(&default);
        let listen = listen.iter().map(|text| exposure::agents(address("listen", text)?, agents));
        let listen = listen.collect::<Result<_, _>>()?;
        let certified = auth.http_tls.as_ref().is_some_and(|tls| tls.clients().is_required());
        let readers = Guard {
            authenticated: auth.readers.is_some() || certified,
            encrypted: auth.http_tls.is_some(),
            insecure,
        };
        let http = address("http", flags.http.as_deref().unwrap_or(DEFAULT_HTTP))?;
        let http = exposure::http(http, readers)?;
        Ok(Self {
            listen,
            http,
            advertise: flags.advertise.as_deref().map(advertise).transpose()?,
            classic: flags.classic.unwrap_or(false),
            pins: flags.kinds.iter().map(pin).collect::<Result<_, _>>()?,
            drain: Duration::from_secs(number("drain_seconds", flags.drain_seconds, 5, 0..=600)?),
            coalesce: Duration::from_millis(number(
                "coalesce_milliseconds",
                flags.coalesce_milliseconds,
                0,
                0..=100,
            )?),
            bounds: bounds::bounds(&flags)?,
            roster: roster_limits(&flags)?,
            state: StateSettings {
                every: Duration::from_secs(number(
                    "state_seconds",
                    flags.state_seconds,
                    30,
                    1..=3600,
                )?),
                directory: flags.state_dir.clone(),
            },
            auth: Arc::new(auth),
            log: flags.log.clone().unwrap_or_else(|| "info".to_owned()),
            source: Source { given, settings: flags, files },
        })
    }
}

impl Default for Config {
    /// Loopback addresses, free ports, and the documented limits.
    fn default() -> Self {
        let free = |setting| {
            let flags = Flags {
                listen: Some(vec!["127.0.0.1:0".to_owned()]),
                http: Some("127.0.0.1:0".to_owned()),
                ..Flags::default()
            };
            Self::try_new(flags).map_err(|bad| format!("{setting}: {bad}"))
        };
        free("default").unwrap_or_else(|bad| unreachable!("the defaults are legal: {bad}"))
    }
}

fn auth(
    flags: &Flags,
    (tls, http_tls): (Option<TlsFiles>, Option<TlsFiles>),
    before: &AuthPolicy,
) -> Result<AuthPolicy, BadSetting> {
    let named = |setting| move |bad: BadFile| BadSetting::new(setting, bad.to_string());
    let agents = flags.credentials.as_deref();
    let certified = flags.tls_client_ca.is_some();
    let agents = agents.map(|path| Credentials::read(path, certified, before.agents.as_ref()));
    let readers = flags.http_credentials.as_deref().map(Readers::read);
    let labels = flags.allow_labels.as_deref().map(Labels::only);
    let bad_label = |bad: Violation| BadSetting::new("allow_labels", bad.to_string());
    Ok(AuthPolicy {
        agents: agents.transpose().map_err(named("credentials"))?,
        readers: readers.transpose().map_err(named("http_credentials"))?,
        labels: labels.transpose().map_err(bad_label)?.unwrap_or_default(),
        tls: tls::load(tls.as_ref(), before.tls.as_ref())?,
        http_tls: tls::load(http_tls.as_ref(), before.http_tls.as_ref())?,
        certificate_name: tls::certificate_name(flags)?,
    })
}

fn roster_limits(flags: &Flags) -> Result<RosterLimits, BadSetting> {
    let expected = flags.expect.as_deref().map(Expected::read).transpose();
    let departed = number("max_departed", flags.max_departed, 100_000, 0..=1_000_000)?;
    let hours = number("departed_hours", flags.departed_hours, 72, 1..=8760)?;
    let patience = number("return_seconds", flags.return_seconds, 30, 1..=3600)?;
    Ok(RosterLimits {
        departed: usize::try_from(departed).unwrap_or(usize::MAX),
        departed_for: Duration::from_secs(hours * 3600),
        patience: Duration::from_secs(patience),
        expected: expected
            .map_err(|bad| BadSetting::new("expect", bad.to_string()))?
            .unwrap_or_default(),
    })
}

fn number(
    setting: &str,
    given: Option<u64>,
    default: u64,
    legal: std::ops::RangeInclusive<u64>,
) -> Result<u64, BadSetting> {
    let number = given.unwrap_or(default);
    if legal.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (legal.start(), legal.end());
    let files = if setting.starts_with("max_connections") {
        "; the upper end is the process's file limit less 256 (raise it with ulimit -n or \
         LimitNOFILE=)"
    } else {
        ""
    };
    Err(BadSetting::new(setting, format!("{number} is not within {least} to {most}{files}")))
}

fn address(setting: &str, text: &str) -> Result<SocketAddr, BadSetting> {
    text.parse().map_err(|_| {
        BadSetting::new(
            setting,
            format!("{text:?} is not IP:PORT, such as 127.0.0.1:45678 or [::1]:0"),
        )
    })
}

fn advertise(text: &str) -> Result<ScrapeTarget, BadSetting> {
    ScrapeTarget::try_new(text).filter(ScrapeTarget::has_port).ok_or_else(|| {
        let right = "is not HOST:PORT, such as metrics.example.com:1234 or [2001:db8::1]:1234";
        BadSetting::new("advertise", format!("{text:?} {right}"))
    })
}

fn pin((family, kind): (&String, &String)) -> Result<(String, FamilyKind), BadSetting> {
    let kind = match kind.as_str() {
        "gauge" => FamilyKind::Gauge,
        "counter" => FamilyKind::Counter,
        "histogram" => FamilyKind::Histogram,
        "summary" => FamilyKind::Summary,
        "info" => FamilyKind::Info,
        "unknown" => FamilyKind::Unknown,
        other => {
            let known = "gauge, counter, histogram, summary, info or unknown";
            return Err(BadSetting::new(
                format!("kinds.{family}"),
                format!("{other:?} is not a kind; use {known}"),
            ));
        }
    };
    Ok((family.clone(), kind))
}
