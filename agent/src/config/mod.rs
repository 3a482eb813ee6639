//! Settings: flags over environment over file over defaults. A [`Config`] that exists is legal.
//!
//! A setting that is wrong is an error wherever it comes from, also where a stronger one would hide
//! it from use: what was written down was meant.

mod duration;
mod endpoint;
mod file;
mod flags;
mod labels;
mod tls;
mod token;

use std::path::Path;
use std::time::Duration;

pub use endpoint::Endpoint;
use file::File;
pub use flags::Flags;
use fleetgauge_proto::{AgentId, StaticLabels};
pub use token::{Token, TokenSource};
use tracing::level_filters::LevelFilter;

use crate::identity::IdSource;
use crate::metrics::MetricSet;
use crate::tls::TlsSettings;

/// Time between samples unless somebody says otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);
/// Shortest interval: the protocol's.
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Longest interval: the protocol's.
pub const MAX_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Most bytes of all labels' names and values together: they must fit the Hello of 16 KiB.
pub const MAX_LABEL_BYTES: usize = 8 * 1024;

/// What to do where a token would be sent unencrypted.
pub(crate) const TOKEN_ENCRYPTION_ADVICE: &str =
    "Speak TLS (--tls), or say --insecure if whoever is between may read it.";

/// A legal set of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to report to.
    pub collector: Endpoint,
    /// Where the agent's id comes from.
    pub id: IdSource,
    /// Time between samples, 1 s to 5 min.
    pub interval: Duration,
    /// What to report.
    pub metrics: MetricSet,
    /// Labels on all series.
    pub labels: StaticLabels,
    /// What proves who the agent is.
    pub token: Option<TokenSource>,
    /// Whether that may be sent unencrypted to another host.
    pub insecure: bool,
    /// How it speaks TLS; `None`: not at all.
    pub tls: Option<TlsSettings>,
    /// What is logged.
    pub log: LevelFilter,
}

/// A setting that is wrong: which one, where it was made, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct BadSetting {
    place: String,
    problem: String,
}

impl BadSetting {
    pub(crate) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            collector: Endpoint::default(),
            id: IdSource::default(),
            interval: DEFAULT_INTERVAL,
            metrics: MetricSet::default(),
            labels: StaticLabels::default(),
            token: None,
            insecure: false,
            tls: None,
            log: LevelFilter::INFO,
        }
    }
}

impl Config {
    /// The settings made by flags, by the environment, and by the file that either of them names.
    ///
    /// # Errors
    /// The first setting found wrong.
    pub fn load(flags: &Flags, env: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        // `FLEETGAUGE_TOKEN=$(cat FILE)` with a missing file: a token was meant.
        if env("FLEETGAUGE_TOKEN").as_deref() == Some("") {
            let problem = "is empty. Set it to the agent's token, or do not set it at all.";
            return Err(BadSetting::new("FLEETGAUGE_TOKEN", problem));
        }
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let path = flags.config.clone().or_else(|| env("FLEETGAUGE_CONFIG").map(Into::into));
        let file = path.as_deref().map_or_else(|| Ok(File::default()), File::read)?;
        Layers { flags, env: &env, file: &file, path: path.as_deref() }.resolve()
    }
}

/// The places a setting can be made in, strongest first.
struct Layers<'a> {
    flags: &'a Flags,
    env: &'a dyn Fn(&str) -> Option<String>,
    file: &'a File,
    path: Option<&'a Path>,
}

/// A setting as it was made, and how to call the place.
struct Made {
    place: String,
    value: String,
}

impl Layers<'_> {
    fn resolve(&self) -> Result<Config, BadSetting> {
        let config = Config {
            collector: self
                .setting("collector", &self.flags.collector, &self.file.collector, Endpoint::parse)?
                .unwrap_or_default(),
            id: self.id()?,
            interval: self
                .setting("interval", &self.flags.interval, &self.file.interval, interval)?
                .unwrap_or(DEFAULT_INTERVAL),
            metrics: self
                .setting("metrics", &self.flags.metrics, &self.file.metrics, metrics)?
                .unwrap_or_default(),
            labels: self.labels()?,
            token: self.token()?,
            insecure: self.insecure()?,
            tls: self.tls()?,
            log: self
                .setting("log", &self.flags.log, &self.file.log, level)?
                .unwrap_or(LevelFilter::INFO),
        };
        let exposed = config.tls.is_none() && !config.insecure;
        if exposed && config.token.is_some() && config.collector.is_elsewhere() {
            let problem = format!(
                "the token is not sent to {} unencrypted. {TOKEN_ENCRYPTION_ADVICE}",
                config.collector
            );
            return Err(BadSetting::new("collector", problem));
        }
        Ok(config)
    }

    /// The token, or the file it is in: one setting, as with `id`.
    fn token(&self) -> Result<Option<TokenSource>, BadSetting> {
        let given = (self.env)("FLEETGAUGE_TOKEN");
        let given = given.map(|text| Token::parse(&text)).transpose();
        let given = given.map_err(|why| BadSetting::new("FLEETGAUGE_TOKEN", why))?;
        let [flag, env, file] =
            self.made("token-file", &self.flags.token_file, &self.file.token_file);
        if let (Some(_), Some(env)) = (&given, &env) {
            let problem = format!("contradicts {}. Set only one of the two.", env.place);
            return Err(BadSetting::new("FLEETGAUGE_TOKEN", problem));
        }
        for made in [&flag, &env, &file].into_iter().flatten() {
            let source = TokenSource::File(made.value.clone().into());
            source.token().map_err(|why| BadSetting::new(&made.place, why))?;
        }
        let source = |made: Made| TokenSource::File(made.value.into());
        let given = given.map(TokenSource::Given);
        Ok(flag.map(source).or(given).or(env.map(source)).or(file.map(source)))
    }

    fn insecure(&self) -> Result<bool, BadSetting> {
        let env = (self.env)("FLEETGAUGE_INSECURE").map(|text| match text.as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => {
                let problem = format!("{text:?} is neither true nor false.");
                Err(BadSetting::new("FLEETGAUGE_INSECURE", problem))
            }
        });
        let env = env.transpose()?;
        Ok(self.flags.insecure || env.or(self.file.insecure).unwrap_or(false))
    }

    /// The strongest value of a setting, after all its values were parsed.
    fn setting<T>(
        &self,
        key: &str,
        flag: &Option<String>,
        file: &Option<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, BadSetting> {
        let mut strongest = None;
        for made in self.made(key, flag, file).into_iter().flatten() {
            let value = parse(&made.value).map_err(|why| BadSetting::new(made.place, why))?;
            strongest = strongest.or(Some(value));
        }
        Ok(strongest)
    }

    /// What was said about a setting: by flag, in the environment, in the file.
    fn made(&self, key: &str, flag: &Option<String>, file: &Option<String>) -> [Option<Made>; 3] {
        let variable = format!("FLEETGAUGE_{}", key.replace('-', "_").to_uppercase());
        let in_env = (self.env)(&variable);
        [
            flag.clone().map(|value| Made { place: format!("--{key}"), value }),
            in_env.map(|value| Made { place: variable, value }),
            file.clone().map(|value| Made { place: self.in_file(&key.replace('-', "_")), value }),
        ]
    }

    fn in_file(&self, key: &str) -> String {
        self.path.map_or_else(|| key.to_owned(), |path| format!("{key} in {}", path.display()))
    }

    /// `id` and `id-from` are one setting: who makes either in a stronger place overrides both.
    fn id(&self) -> Result<IdSource, BadSetting> {
        let given = self.made("id", &self.flags.id, &self.file.id);
        let from = self.made("id-from", &self.flags.id_from, &self.file.id_from);
        let mut strongest = None;
        for (given, from) in given.into_iter().zip(from) {
            let source = match (given, from) {
                (None, None) => continue,
                (Some(made), None) => {
                    id(&made.value).map_err(|why| BadSetting::new(made.place, why))?
                }
                (None, Some(made)) => {
                    id_from(&made.value).map_err(|why| BadSetting::new(made.place, why))?
                }
                (Some(given), Some(from)) => {
                    let problem = format!("contradicts {}. Set only one of the two.", from.place);
                    return Err(BadSetting::new(given.place, problem));
                }
            };
            strongest = strongest.or(Some(source));
        }
        Ok(strongest.unwrap_or_default())
    }

    /// The labels of the strongest place that sets any: like every setting, not merged.
    fn labels(&self) -> Result<StaticLabels, BadSetting> {
        let flags = (!self.flags.label.is_empty()).then(|| labels::from_pairs(&self.flags.label));
        let env = (self.env)("FLEETGAUGE_LABELS").map(|list| labels::from_list(&list));
        let file = self.file.labels.as_ref().map(labels::from_table);
        let places = [
            ("--label".to_owned(), flags),
            ("FLEETGAUGE_LABELS".to_owned(), env),
            (self.in_file("labels"), file),
        ];
        let mut strongest = None;
        for (place, made) in places {
            let Some(made) = made else { continue };
            let labels = made.map_err(|why| BadSetting::new(place, why))?;
            strongest = strongest.or(Some(labels));
        }
        Ok(strongest.unwrap_or_default())
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    duration::parse(text).filter(|d| (MIN_INTERVAL..=MAX_INTERVAL).contains(d)).ok_or_else(|| {
        format!("{text:?} is not an interval. Give one from 1s to 5m, such as 15s or 1500ms.")
    })
}

fn metrics(text: &str) -> Result<MetricSet, String> {
    MetricSet::from_name(text)
        .ok_or_else(|| format!("{text:?} is not a set of metrics. There are basic and classic."))
}

fn level(text: &str) -> Result<LevelFilter, String> {
    match text {
        "off" | "error" | "warn" | "info" | "debug" | "trace" => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| format!("{text:?} is not a level. Give off, error, warn, info, debug or trace."))
}

fn id(text: &str) -> Result<IdSource, String> {
    AgentId::try_new(text).map(IdSource::Given).map_err(|_| {
        format!("{text:?} is not an id. Give 1 to 128 of A-Z a-z 0-9 . _ : - that are not . or ..")
    })
}

fn id_from(text: &str) -> Result<IdSource, String> {
    match text {
        "hostname" => Ok(IdSource::HostName),
        "machine-id" => Ok(IdSource::MachineId),
        _ => Err(format!("{text:?} is no source of ids. There are hostname and machine-id.")),
    }
}

#[cfg(test)]
mod tests;
