//! The programs accept only valid settings, and name the setting that they refuse.
//!
//! An input is text: the program's name, a newline and its TOML file; then, each after a zero byte,
//! flags for the collector or environment variables for the agent.

use std::time::Duration;

use clap::Parser;
use fleetgauge_agent::config::{self as agent, Collector};
use fleetgauge_agent::identity::IdSource;
use fleetgauge_collector::config as collector;
use fleetgauge_common::settings::Environment;
use fleetgauge_proto::limits::{MAX_HELLO_BYTES, MAX_PAYLOAD_BYTES};
use toml::{Table, Value};

use crate::message::is_name;

/// Loads the settings of an input as the programs do at startup, and checks the result.
pub fn check(data: &[u8]) {
    let Some((program, settings)) = std::str::from_utf8(data).ok().and_then(|t| t.split_once('\n'))
    else {
        return;
    };
    let (file, others) = settings.split_once('\0').unwrap_or((settings, ""));
    let table = file.parse::<Table>().ok();
    if others.contains('/') || table.iter().flatten().any(|(_, value)| names_a_path(value)) {
        return;
    }
    let others = others.split('\0').filter(|other| !other.is_empty());
    let toml = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&toml, file).unwrap();
    let accepted = match program {
        "agent" => agent(toml.path().into(), &others.collect::<Vec<_>>()),
        _ => collector(toml.path().into(), others),
    };
    assert!(!accepted || table.is_some(), "a file that is not TOML was accepted");
}

/// Whether a setting contains a slash, so that it may be a path. Inputs with such settings are
/// skipped, because a check must not read other files.
fn names_a_path(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('/'),
        Value::Array(values) => values.iter().any(names_a_path),
        Value::Table(table) => table.values().any(names_a_path),
        _ => false,
    }
}

/// Command-line parser for the flags of a collector.
#[derive(Debug, Parser)]
struct CollectorFlags {
    #[command(flatten)]
    flags: collector::Flags,
}

fn collector<'a>(file: std::path::PathBuf, flags: impl Iterator<Item = &'a str>) -> bool {
    let flags =
        CollectorFlags::try_parse_from(std::iter::once("fleetgauge-collector").chain(flags));
    let Ok(flags) = flags else { return false };
    let flags = flags.flags.with("config", file.to_string_lossy());
    match collector::Config::try_new(flags) {
        Ok(config) => {
            check_collector(&config);
            true
        }
        Err(errors) => {
            assert!(errors.iter().all(|error| !error.problem().is_empty()), "{errors}");
            false
        }
    }
}

/// Checks the bounds of the collector's settings in `docs/configuration.md`.
fn check_collector(config: &collector::Config) {
    let bounds = &config.bounds;
    let counts = [
        bounds.connections,
        bounds.address.connections,
        bounds.handshakes,
        bounds.catalogs.catalogs,
        bounds.catalogs.bytes,
        bounds.http_connections,
        bounds.memory,
        bounds.scrapes,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert!(bounds.scrapes <= 64 && bounds.catalogs.catalogs <= 1 << 20);
    let payload = bounds.limits.max_payload_bytes;
    assert!((MAX_HELLO_BYTES..=MAX_PAYLOAD_BYTES).contains(&payload), "{payload}");
    let address = &bounds.address;
    assert!((1..=1000).contains(&address.handshakes) && (1..=10_000).contains(&address.failures));
    let seconds = |min, max| Duration::from_secs(min)..=Duration::from_secs(max);
    assert!(seconds(1, 300).contains(&bounds.max_interval));
    assert!(seconds(1, 3600).contains(&address.pause));
    assert!(seconds(0, 600).contains(&config.drain));
    assert!(config.coalesce <= Duration::from_millis(100));
    assert!(seconds(1, 3600).contains(&config.state.every));
    assert!(config.state.journal_bytes <= 1 << 40);
    assert!(seconds(1, 3600).contains(&config.roster.return_time));
    assert!(seconds(3600, 8760 * 3600).contains(&config.roster.departed_for));
    assert!(config.roster.departed <= 1_000_000);
    assert!(!config.listen.is_empty());
    assert!(
        config
            .advertise
            .iter()
            .all(fleetgauge_collector::http::scrape_target::ScrapeTarget::has_port)
    );
}

fn agent(file: std::path::PathBuf, env: &[&str]) -> bool {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = env.iter().filter_map(|one| one.split_once('='));
    let variables = variables.map(|(name, value)| variable(name, value));
    let config = variable("FLEETGAUGE_CONFIG", &file.to_string_lossy());
    let environment = Environment::new(variables.chain([config]));
    match agent::Config::load(&agent::Flags::default(), &environment) {
        Ok(config) => {
            check_agent(&config);
            true
        }
        Err(errors) => {
            assert!(errors.iter().all(|error| !error.problem().is_empty()), "{errors}");
            false
        }
    }
}

/// Checks the bounds of the agent's settings in `docs/configuration.md`.
fn check_agent(config: &agent::Config) {
    let second = Duration::from_secs(1);
    assert!((second..=300 * second).contains(&config.interval), "{:?}", config.interval);
    let shown = config.collector.to_string();
    let parsed: Vec<_> = shown.split(',').map(|text| Collector::parse(text).unwrap()).collect();
    assert_eq!(agent::Collectors::try_new(parsed).as_ref(), Ok(&config.collector));
    assert!(config.labels.bytes() <= 8 * 1024);
    assert!(config.labels.iter().all(|(name, value)| is_name(name) && value.len() <= 1024));
    if let IdSource::Given(id) = &config.id {
        assert!(matches!(id.as_str().len(), 1..=128));
    }
}
