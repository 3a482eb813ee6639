//! Settings: flags over environment over file over defaults. A [`Config`] that exists is legal.

mod bounds;
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

use crate::registry::Pins;
use crate::roster::{Expected, Memory};
use crate::target::Target;
use crate::tls::Files as TlsFiles;
use crate::trust::{BadFile, Credentials, Labels, Readers, Trust};

pub use bounds::Bounds;
pub use files::Files;
pub use flags::Flags;

use exposure::Guard;
use flags::File;

/// Where agents find the collector.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:45678";
/// Where Prometheus finds it.
pub const DEFAULT_HTTP: &str = "127.0.0.1:1234";

/// File descriptors kept for everything but agents: those that were refused and are about to read why (half of them),
/// HTTP, the listeners, the runtime, logs.
pub const RESERVED_FDS: u64 = 256;

/// Where the roster is kept, and how often.
#[derive(Debug, Clone)]
pub struct State {
    /// The directory; `None`: nowhere.
    pub directory: Option<PathBuf>,
    /// Time between two writes of what has changed.
    pub every: Duration,
}

/// All settings of a collector.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses for agents.
    pub listen: Vec<SocketAddr>,
    /// Address for HTTP.
    pub http: SocketAddr,
    /// Where Prometheus reaches it, if it is not where it says it does.
    pub advertise: Option<Target>,
    /// Label every series with the peer's port as the old program did, and expose `clients_connected`.
    pub classic: bool,
    /// Family kinds that the operator has decided on.
    pub pins: Pins,
    /// How long agents get to leave when the collector stops.
    pub drain: Duration,
    /// How long connections' threads pause before they sleep, so that they wake once for several reports.
    pub coalesce: Duration,
    /// Bounds.
    pub bounds: Bounds,
    /// What is remembered of agents that are not connected.
    pub memory: Memory,
    /// Where that outlives the collector.
    pub state: State,
    /// Who may be whom, as the settings and the files that they name say.
    pub trust: Arc<Trust>,
    /// Log filter.
    pub log: String,
    /// What all this was read from.
    pub source: Source,
}

/// What settings were read from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Flags and environment.
    pub given: Flags,
    /// Those over the settings' file.
    pub settings: Flags,
    /// All files, as they were.
    pub files: Files,
}

/// A setting that cannot be, with its name and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BadSetting {
    /// The setting's name.
    pub setting: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl BadSetting {
    pub(crate) fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { setting: setting.into(), problem: problem.into() }
    }
}

impl Config {
    /// Settings from flags (and the environment, which clap has read) over the file that they name.
    ///
    /// # Errors
    /// The first setting that cannot be.
    pub fn try_new(flags: Flags) -> Result<Self, BadSetting> {
        Self::try_after(flags, &Trust::default())
    }

    /// The same while the rules `before` are in force.
    ///
    /// # Errors
    /// The first setting that cannot be.
    pub fn try_after(given: Flags, before: &Trust) -> Result<Self, BadSetting> {
        let mut files = Files::default();
        files.look_at(given.config.as_deref());
        let file = given.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let flags = given.clone().or(file);
        files.look_at(flags.credentials.as_deref());
        files.look_at(flags.http_credentials.as_deref());
        files.look_at(flags.expect.as_deref());
        let (tls, http_tls) = (tls::agents(&flags)?, tls::http(&flags)?);
        for path in [&tls, &http_tls].into_iter().flatten().flat_map(TlsFiles::paths) {
            files.look_at(Some(path));
        }
        let trust = trust(&flags, (tls, http_tls), before)?;
        let insecure = flags.insecure.unwrap_or(false);
        let agents = Guard {
            authenticated: trust.agents.is_some() || trust.asks_for_certificates(),
            encrypted: trust.tls.is_some(),
            insecure,
        };
        let default = [DEFAULT_LISTEN.to_owned()];
        let listen = flags.listen.as_deref().filter(|given| !given.is_empty()).unwrap_or(&default);
        let listen = listen.iter().map(|text| exposure::agents(address("listen", text)?, agents));
        let listen = listen.collect::<Result<_, _>>()?;
        let asked = trust.http_tls.as_ref().is_some_and(|tls| tls.clients().are_asked());
        let readers = Guard {
            authenticated: trust.readers.is_some() || asked,
            encrypted: trust.http_tls.is_some(),
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
            memory: memory(&flags)?,
            state: State {
                every: Duration::from_secs(number(
                    "state_seconds",
                    flags.state_seconds,
                    30,
                    1..=3600,
                )?),
                directory: flags.state_dir.clone(),
            },
            trust: Arc::new(trust),
            log: flags.log.clone().unwrap_or_else(|| "info".to_owned()),
            source: Source { given, settings: flags, files },
        })
    }
}

impl Default for Config {
    /// Loopback, free ports, and every bound as documented.
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

fn trust(
    flags: &Flags,
    (tls, http_tls): (Option<TlsFiles>, Option<TlsFiles>),
    before: &Trust,
) -> Result<Trust, BadSetting> {
    let named = |setting| move |bad: BadFile| BadSetting::new(setting, bad.to_string());
    let agents = flags.credentials.as_deref();
    let certified = flags.tls_client_ca.is_some();
    let agents = agents.map(|path| Credentials::read(path, certified, before.agents.as_ref()));
    let readers = flags.http_credentials.as_deref().map(Readers::read);
    let labels = flags.allow_labels.as_deref().map(Labels::only);
    let bad_label = |bad: Violation| BadSetting::new("allow_labels", bad.to_string());
    Ok(Trust {
        agents: agents.transpose().map_err(named("credentials"))?,
        readers: readers.transpose().map_err(named("http_credentials"))?,
        labels: labels.transpose().map_err(bad_label)?.unwrap_or_default(),
        tls: tls::load(tls.as_ref(), before.tls.as_ref())?,
        http_tls: tls::load(http_tls.as_ref(), before.http_tls.as_ref())?,
        certificate_name: tls::certificate_name(flags)?,
    })
}

fn memory(flags: &Flags) -> Result<Memory, BadSetting> {
    let expected = flags.expect.as_deref().map(Expected::read).transpose();
    let departed = number("max_departed", flags.max_departed, 100_000, 0..=1_000_000)?;
    let hours = number("departed_hours", flags.departed_hours, 72, 1..=8760)?;
    let patience = number("return_seconds", flags.return_seconds, 30, 1..=3600)?;
    Ok(Memory {
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
        "; the upper end is the process's file limit less 256 (raise it with ulimit -n or LimitNOFILE=)"
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

fn advertise(text: &str) -> Result<Target, BadSetting> {
    Target::try_new(text).filter(Target::has_port).ok_or_else(|| {
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
