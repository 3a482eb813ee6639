//! Settings: flags over environment over file over defaults. A [`Config`] that exists is legal.

mod exposure;
mod files;
mod flags;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::limits::{MAX_HELLO_BYTES, MAX_PAYLOAD_BYTES};
use fleetgauge_proto::schema::FamilyKind;
use fleetgauge_proto::{Limits, Violation};

use crate::registry::{Pins, Room};
use crate::roster::{Expected, Memory};
use crate::target::Target;
use crate::trust::{BadFile, Credentials, Labels, Readers, Trust};

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

/// The bounds on what agents and scrapers can make grow, where operators differ.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Most connections of agents.
    pub connections: usize,
    /// Most connections of agents from one address.
    pub connections_per_address: usize,
    /// Most connections that have not reported yet.
    pub handshakes: usize,
    /// Most schemas, and the bytes of their payloads together.
    pub schemas: Room,
    /// What one agent may send.
    pub limits: Limits,
    /// Longest interval between reports that an agent is given.
    pub max_interval: Duration,
    /// Most HTTP connections.
    pub http_connections: usize,
    /// Most bytes of memory for agents' connections, rows, schemas and unfinished frames together.
    pub memory: usize,
    /// Most scrapes at once: each holds a copy of all values.
    pub scrapes: usize,
}

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
    /// What all this was read from: flags and environment, and the files as they were.
    pub source: (Flags, Files),
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
    fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
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
    pub fn try_after(source: Flags, before: &Trust) -> Result<Self, BadSetting> {
        let mut files = Files::default();
        files.look_at(source.config.as_deref());
        let file = source.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let (flags, kinds) = source.clone().or(file);
        files.look_at(flags.credentials.as_deref());
        files.look_at(flags.http_credentials.as_deref());
        let trust = trust(&flags, before)?;
        let given: Vec<String> = match flags.listen.as_slice() {
            [] => vec![DEFAULT_LISTEN.to_owned()],
            given => given.to_vec(),
        };
        let insecure = flags.insecure.unwrap_or(false);
        let agents = Guard { authenticated: trust.agents.is_some(), encrypted: false, insecure };
        let listen: Vec<_> = given
            .iter()
            .map(|text| exposure::agents(address("listen", text)?, agents))
            .collect::<Result<_, _>>()?;
        let readers = Guard { authenticated: trust.readers.is_some(), encrypted: false, insecure };
        let http = address("http", flags.http.as_deref().unwrap_or(DEFAULT_HTTP))?;
        let http = exposure::http(http, readers)?;
        Ok(Self {
            listen,
            http,
            advertise: flags.advertise.as_deref().map(advertise).transpose()?,
            classic: flags.classic.unwrap_or(false),
            pins: kinds.into_iter().map(pin).collect::<Result<_, _>>()?,
            drain: Duration::from_secs(number("drain_seconds", flags.drain_seconds, 5, 0..=600)?),
            coalesce: Duration::from_millis(number(
                "coalesce_milliseconds",
                flags.coalesce_milliseconds,
                0,
                0..=100,
            )?),
            bounds: bounds(&flags)?,
            memory: memory(&flags)?,
            state: State {
                every: Duration::from_secs(number(
                    "state_seconds",
                    flags.state_seconds,
                    30,
                    1..=3600,
                )?),
                directory: flags.state_dir,
            },
            trust: Arc::new(trust),
            log: flags.log.unwrap_or_else(|| "info".to_owned()),
            source: (source, files),
        })
    }
}

impl Default for Config {
    /// Loopback, free ports, and every bound as documented.
    fn default() -> Self {
        let free = |setting| {
            let flags = Flags {
                listen: vec!["127.0.0.1:0".to_owned()],
                http: Some("127.0.0.1:0".to_owned()),
                ..Flags::default()
            };
            Self::try_new(flags).map_err(|bad| format!("{setting}: {bad}"))
        };
        free("default").unwrap_or_else(|bad| unreachable!("the defaults are legal: {bad}"))
    }
}

fn bounds(flags: &Flags) -> Result<Bounds, BadSetting> {
    let room = max_connections();
    let defaults = Limits::default();
    let count = |name, given, default: u64, most: u64| {
        number(name, given, default, 1..=most).and_then(|n| {
            usize::try_from(n).map_err(|_| BadSetting::new(name, "is too large for this machine"))
        })
    };
    let limit = |name, given, default: u32, least: u32, most: u32| {
        number(name, given, default.into(), least.into()..=most.into())
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    let connections = count("max_connections", flags.max_connections, room, room)?;
    let per_address = flags.max_connections_per_address;
    Ok(Bounds {
        connections,
        connections_per_address: count(
            "max_connections_per_address",
            per_address,
            connections as u64,
            room,
        )?,
        handshakes: count("max_handshakes", flags.max_handshakes, 1024, room.max(1024))?,
        schemas: Room {
            schemas: count("max_schemas", flags.max_schemas, 1024, 1 << 20)?,
            bytes: count("max_schema_bytes", flags.max_schema_bytes, 64 << 20, 1 << 40)?,
        },
        limits: Limits {
            max_payload_bytes: limit(
                "max_payload_bytes",
                flags.max_payload_bytes,
                defaults.max_payload_bytes,
                MAX_HELLO_BYTES,
                MAX_PAYLOAD_BYTES,
            )?,
            max_families: limit(
                "max_families",
                flags.max_families,
                defaults.max_families,
                1,
                1 << 16,
            )?,
            max_series: limit("max_series", flags.max_series, defaults.max_series, 1, 1 << 20)?,
            max_values: limit("max_values", flags.max_values, defaults.max_values, 1, 1 << 20)?,
            max_label_bytes: limit(
                "max_label_bytes",
                flags.max_label_bytes,
                defaults.max_label_bytes,
                1,
                MAX_PAYLOAD_BYTES,
            )?,
        },
        max_interval: Duration::from_secs(number(
            "max_interval_seconds",
            flags.max_interval_seconds,
            300,
            1..=300,
        )?),
        http_connections: count(
            "max_http_connections",
            flags.max_http_connections,
            64,
            RESERVED_FDS / 2 - 32,
        )?,
        memory: count("max_memory_bytes", flags.max_memory_bytes, 1 << 30, 1 << 40)?,
        scrapes: count("max_scrapes", flags.max_scrapes, 4, 64)?,
    })
}

fn trust(flags: &Flags, before: &Trust) -> Result<Trust, BadSetting> {
    let named = |setting| move |bad: BadFile| BadSetting::new(setting, bad.to_string());
    let agents = flags.credentials.as_deref();
    let agents = agents.map(|path| Credentials::read(path, before.agents.as_ref()));
    let readers = flags.http_credentials.as_deref().map(Readers::read);
    let labels = flags.allow_labels.as_deref().map(Labels::only);
    let bad_label = |bad: Violation| BadSetting::new("allow_labels", bad.to_string());
    Ok(Trust {
        agents: agents.transpose().map_err(named("credentials"))?,
        readers: readers.transpose().map_err(named("http_credentials"))?,
        labels: labels.transpose().map_err(bad_label)?.unwrap_or_default(),
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

/// How many connections the process's file limit leaves room for. The soft limit is raised to the hard one by
/// [`crate::cli`] before.
fn max_connections() -> u64 {
    #[cfg(unix)]
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let files = Some(1 << 20);
    files.unwrap_or(1 << 20).saturating_sub(RESERVED_FDS).max(1)
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

fn pin((family, kind): (String, String)) -> Result<(String, FamilyKind), BadSetting> {
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
    Ok((family, kind))
}
