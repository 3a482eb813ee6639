//! The settings of an agent. A [`Config`] has only valid settings.

mod collectors;
mod declarations;
mod file_pattern;
mod flags;
mod id;
mod labels;
mod metrics;
mod paths;
mod scrape;
mod scrape_url;
mod table_declarations;
mod textfile;
mod tls;
mod token;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub use fleetgauge_common::endpoint::Endpoint;
use fleetgauge_common::log::LogFormat;
use fleetgauge_common::settings::{Effective, Environment, Layers, SettingError, SettingErrors};
use fleetgauge_proto::StaticLabels;

pub use collectors::{Collector, Collectors, MAX_COLLECTORS, SrvName};
pub use file_pattern::FilePattern;
pub use flags::Flags;
pub use id::IdFrom;
pub use paths::NodePaths;
pub use scrape::{MAX_SCRAPES, ScrapeSettings, ScrapeTarget};
pub use textfile::{MAX_TEXTFILES, TextfileSettings};
pub use token::{Token, TokenSource};

use crate::identity::IdSource;
use crate::metrics::Selection;
use crate::report_log::LogLimits;
use crate::tls::TlsSettings;
use declarations::PROGRAM;

/// Maximum size of all label names and values, in bytes: they must fit into a Hello, which has at
/// most 16 KiB.
pub const MAX_LABEL_BYTES: usize = 8 * 1024;

/// Advice to the operator if the token would be sent unencrypted.
pub(crate) const TOKEN_ENCRYPTION_ADVICE: &str =
    "enable TLS (--tls), or allow sending it unencrypted (--insecure)";

/// Log settings: filter and format.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Log filter: a level or `target=level` directives.
    pub filter: String,
    /// Format of the log lines.
    pub format: LogFormat,
}

/// All settings of an agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// The collectors to report to.
    pub collector: Collectors,
    /// Source of the agent id.
    pub id: IdSource,
    /// Interval between samples, 1 s to 5 min.
    pub interval: Duration,
    /// Metrics to report, with those of `scrapes` and `textfiles`.
    pub metrics: Selection,
    /// Static labels of the agent, added to all its series.
    pub labels: StaticLabels,
    /// Source of the token; `None`: no token.
    pub token: Option<TokenSource>,
    /// Whether the token may be sent to another host without TLS.
    pub insecure: bool,
    /// TLS settings; `None`: no TLS.
    pub tls: Option<TlsSettings>,
    /// Bounds of the log of reports; 0 bytes: no log.
    pub report_log: LogLimits,
    /// File of the log of reports; `None`: it is only in memory.
    pub log_file: Option<PathBuf>,
    /// Log settings: filter and format.
    pub log: LogSettings,
    /// All settings in force, for `--check`.
    pub effective: Effective,
}

impl Default for Config {
    fn default() -> Self {
        Self::load(&Flags::default(), &Environment::default())
            .unwrap_or_else(|bad| unreachable!("the defaults are valid: {bad}"))
    }
}

impl Config {
    /// Reads the flags, the environment, and the file that a flag or variable names.
    ///
    /// # Errors
    /// All invalid settings.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, SettingErrors> {
        let mut layers = Layers::read(PROGRAM, &flags.0, environment);
        let collector = collectors::collectors(&mut layers);
        let id = id::source(&mut layers);
        let labels = labels::labels(&mut layers);
        let token = token::source(&mut layers);
        let insecure = layers.switch("insecure");
        let tls = tls::settings(&mut layers);
        if let Some(other_host) = collector.other_host()
            && token.is_some()
            && tls.is_none()
            && !insecure
        {
            let problem = format!(
                "the token would be sent to {other_host} unencrypted; {TOKEN_ENCRYPTION_ADVICE}"
            );
            layers.reject(SettingError::new("collector", problem));
        }
        let interval = layers.duration("interval");
        let scrapes = scrape::scrapes(&mut layers, interval);
        let textfiles = textfile::textfiles(&mut layers);
        let metrics = metrics::selection(&mut layers, scrapes, textfiles);
        let filter = layers.text("log").unwrap_or_default().to_owned();
        let log = LogSettings { filter, format: layers.choice("log_format") };
        let report_log = LogLimits {
            bytes: usize::try_from(layers.size("log_size")).unwrap_or(usize::MAX),
            age: layers.duration("log_age"),
        };
        let log_file = layers.path("log_file");
        if log_file.is_some() && report_log.bytes == 0 {
            let problem = "requires a log; set log_size to more than 0B, or remove this setting";
            layers.reject(SettingError::new("log_file", problem.to_owned()));
        }
        let effective = layers.finish()?;
        Ok(Self {
            collector,
            id,
            interval,
            metrics,
            labels,
            token,
            insecure,
            tls,
            report_log,
            log_file,
            log,
            effective,
        })
    }

    /// Checks that the client certificate is valid at `now`. The agent starts without this check:
    /// the file may be renewed while it runs.
    ///
    /// # Errors
    /// The certificate has expired or is not valid yet.
    pub fn check_validity(&self, now: SystemTime) -> Result<(), SettingErrors> {
        tls::check_validity(self.tls.as_ref(), now)
    }
}

#[cfg(test)]
mod tests;
