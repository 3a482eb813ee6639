//! Checks that the documentation and `deploy/` name all metrics, codes, settings and tests, and
//! only existing ones.

use std::collections::BTreeSet;
use std::io::Write;

use fleetgauge_agent::metrics::MetricSet;
use fleetgauge_collector::config::{DestinationSettings, Flags};
use fleetgauge_collector::{Config, Listeners};
use fleetgauge_common::settings::{Kind, Setting, Tables};
use fleetgauge_proto::Code;

use super::every_kind;
use super::http;
use super::programs::{free_address, repository, wait_for};

/// Pages for operators. Every metric of the collector that they name must exist.
const GUIDE: [&str; 18] = [
    "docs/codes.md",
    "docs/collector-metrics.md",
    "docs/get-started.md",
    "docs/high-availability.md",
    "docs/http.md",
    "docs/install.md",
    "docs/limits.md",
    "docs/logs.md",
    "docs/metrics.md",
    "docs/moving-from-node-exporter.md",
    "docs/operate.md",
    "docs/own-metrics.md",
    "docs/prometheus.md",
    "docs/remote-write.md",
    "docs/secure.md",
    "docs/size.md",
    "docs/troubleshoot.md",
    "docs/upgrade.md",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the `names` that do not appear in backquotes in the document.
fn missing<'a>(document: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    names.into_iter().filter(|name| !document.contains(&format!("`{name}`"))).collect()
}

/// Contents of the Rust files of `proto`, `collector`, `agent` and `loadtest`.
fn sources() -> Vec<String> {
    let mut sources = Vec::new();
    let mut directories: Vec<_> =
        ["proto", "collector", "agent", "loadtest"].map(repository).into();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    sources
}

/// Words of a text that look like the collector's own metrics.
fn own_names(text: &str) -> BTreeSet<&str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
    let own = |name: &&str| name.starts_with("fleetgauge_") || name.starts_with("process_");
    // Names that are not metrics: reserved prefixes, and a Rust path in an example.
    let other = |name: &&str| name.ends_with('_') || name.contains("::");
    text.split(word).filter(own).filter(|name| !other(name)).collect()
}

/// Runs a collector in this process until all of its counters exist. Returns its own metrics and
/// those of its roster.
async fn own_page() -> String {
    let mut config =
        Config { classic: true, remote_write: unreachable_engine(), ..Config::default() };
    // The journal of forwarded agents has metrics.
    let state = tempfile::tempdir().unwrap();
    config.state.directory = Some(state.path().into());
    let listeners = Listeners::bind(&config).unwrap();
    let agents = listeners.agent_addresses().unwrap()[0].to_string();
    let address = listeners.http.local_addr().unwrap().to_string();
    let collector =
        tokio::spawn(fleetgauge_collector::run(config, listeners, std::future::pending::<()>()));
    let page = tokio::task::spawn_blocking(move || {
        drop(every_kind::report_to(&agents));
        wait_for("an end that was counted", 60, || {
            let page = http::get(&address, "/metrics/self", "").unwrap();
            let roster = http::get(&address, "/metrics/roster", "").unwrap();
            let is_complete = ["closed_total{", "remote_write_requests_total{"]
                .iter()
                .all(|counter| page.contains(counter));
            is_complete.then_some(page + &roster)
        })
    });
    let page = page.await.unwrap();
    collector.abort();
    page
}

/// Settings of a destination that refuses connections.
fn unreachable_engine() -> Vec<DestinationSettings> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[[remote_write]]\nurl = \"http://{}/\"", free_address()).unwrap();
    let flags = Flags::default().with("config", file.path().to_str().unwrap());
    Config::try_new(flags).unwrap().remote_write
}

/// Names of the families on a page.
fn families(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[tokio::test]
async fn every_own_metric_is_documented() {
    let page = own_page().await;
    let families = families(&page);
    assert!(families.len() > 20, "{page}");
    let document = read("docs/metrics.md") + &read("docs/collector-metrics.md");
    let undocumented = missing(&document, families.iter().copied());
    assert!(undocumented.is_empty(), "the pages of metrics lack {undocumented:?}");
    for page in GUIDE {
        let document = read(page);
        let unknown: Vec<_> = own_names(&document).difference(&families).copied().collect();
        assert!(unknown.is_empty(), "{page} names {unknown:?}");
    }
}

#[tokio::test]
async fn rules_use_metrics_that_exist() {
    let page = own_page().await;
    let families = families(&page);
    let rules = read("deploy/prometheus/rules.yml");
    let used = own_names(&rules);
    assert!(used.len() > 8, "{used:?}");
    let unknown: Vec<_> = used.difference(&families).collect();
    assert!(unknown.is_empty(), "rules.yml uses {unknown:?}");
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let missing = missing(&read("docs/prometheus.md"), alerts);
    assert!(missing.is_empty(), "docs/prometheus.md lacks {missing:?}");
}

/// A route or an inhibit rule for an unknown alert has no effect.
#[test]
fn routes_name_alerts_that_exist() {
    let rules = read("deploy/prometheus/rules.yml");
    let routes = read("deploy/prometheus/alertmanager.yml");
    let word = |c: char| !c.is_ascii_alphanumeric();
    let alerts = routes.split(word).filter(|name| name.starts_with("Fleetgauge"));
    // `Fleetgauge` alone is part of the pattern that matches all alerts.
    let alerts: BTreeSet<_> = alerts.filter(|name| *name != "Fleetgauge").collect();
    assert!(alerts.len() >= 5, "{alerts:?}");
    for alert in alerts {
        assert!(rules.contains(&format!("- alert: {alert}\n")), "no {alert} in rules.yml");
    }
}

#[test]
fn every_metric_of_the_agent_is_documented() {
    let document = read("docs/metrics.md");
    for set in [MetricSet::Basic, MetricSet::Classic] {
        let missing = missing(&document, set.metrics().iter().map(|metric| metric.name));
        assert!(missing.is_empty(), "docs/metrics.md lacks {missing:?}");
    }
}

#[test]
fn every_code_and_close_reason_is_documented() {
    let codes = Code::ALL.iter().map(|code| code.reason());
    let missing = missing(&read("docs/codes.md"), codes);
    assert!(missing.is_empty(), "docs/codes.md lacks {missing:?}");
}

/// Every row of docs/faults.md names tests, and these exist.
#[test]
fn every_fault_names_its_tests() {
    let document = read("docs/faults.md");
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 22, "{rows:?}");
    let sources = sources();
    for row in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        let mut tests = last.split('`').skip(1).step_by(2).peekable();
        assert!(tests.peek().is_some(), "no test: {row}");
        for test in tests {
            let test = format!("fn {test}(");
            assert!(sources.iter().any(|source| source.contains(&test)), "no {test}): {row}");
        }
    }
}

/// Every file that SECURITY.md refers to exists.
#[test]
fn security_names_files_that_exist() {
    let document = read("SECURITY.md");
    // A leading slash means an HTTP path.
    let is_file = |text: &&str| text.contains('/') && !text.starts_with('/');
    let quoted = document.split('`').skip(1).step_by(2).filter(is_file);
    let linked = document.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let paths: Vec<_> = quoted.chain(linked).collect();
    assert!(paths.len() > 10, "{paths:?}");
    let missing: Vec<_> = paths.into_iter().filter(|path| !repository(path).exists()).collect();
    assert!(missing.is_empty(), "SECURITY.md names {missing:?}");
}

/// Every setting has a row with its default and range, and a line in the example.
#[test]
fn collector_settings_are_documented_with_default_and_range() {
    let document = read("docs/configuration.md");
    let (section, _) = document.split_once("## Settings of the agent").unwrap();
    let settings = fleetgauge_collector::config::Flags::settings();
    check_settings(settings, section, &read("deploy/collector.toml"));
}

#[test]
fn agent_settings_are_documented_with_default_and_range() {
    let document = read("docs/configuration.md");
    let (_, section) = document.split_once("## Settings of the agent").unwrap();
    let settings = fleetgauge_agent::config::Flags::settings();
    check_settings(settings, section, &read("deploy/agent.toml"));
}

fn check_settings(settings: &[Setting], section: &str, example: &str) {
    for setting in settings {
        let name = setting.name;
        let cells = cells_of(setting, section);
        assert_eq!(cells[4], if setting.reloads { "yes |" } else { "no |" }, "{name}");
        if let Kind::Tables(tables) = setting.kind {
            check_keys(setting, tables, section, example);
            continue;
        }
        let is_shown =
            |line: &str| line.starts_with(&format!("#{name} = ")) || line == format!("#[{name}]");
        assert!(!setting.in_file || example.lines().any(is_shown), "the example lacks {name}");
    }
}

/// Checks that the keys of an array of tables have rows in a section of their own, and lines below
/// a header in the example.
fn check_keys(setting: &Setting, tables: &Tables, section: &str, example: &str) {
    let name = setting.name;
    let heading = format!("### Keys of `[[{name}]]`\n");
    let (_, rows) = section.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
    let rows = rows.split("\n#").next().unwrap();
    let header = format!("#[[{name}]]");
    let mut is_inside = false;
    let shown: Vec<_> = example
        .lines()
        .filter(|line| {
            is_inside = if line.starts_with("#[") { *line == header } else { is_inside };
            is_inside
        })
        .collect();
    for key in tables.keys {
        let cells = cells_of(key, rows);
        assert_eq!(cells.len(), 4, "{}", key.name);
        let line = format!("#{} = ", key.name);
        let is_shown = shown.iter().any(|shown| shown.starts_with(&line));
        assert!(is_shown, "the example lacks {} of {header}", key.name);
    }
    let declared = rows.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(declared, tables.keys.len(), "rows of keys that do not exist: {name}");
}

/// Returns the cells of a setting's row, after checks of its default and range.
fn cells_of<'a>(setting: &Setting, section: &'a str) -> Vec<&'a str> {
    let name = setting.name;
    let row = section.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    let row = row.unwrap_or_else(|| panic!("docs/configuration.md lacks {name}"));
    let cells: Vec<_> = row.split(" | ").collect();
    let default = setting.default.map(|text| format!("`{text}`"));
    let default = default.as_deref().or(setting.default_note);
    let without = if setting.is_required { "required" } else { "none" };
    assert_eq!(cells[2], default.unwrap_or(without), "{row}");
    if let Some(range) = setting.kind.range() {
        assert!(cells[1].contains(&range), "{range}: {row}");
    }
    cells
}

/// The container image is built with the minimum supported Rust version, and the documents name the
/// same version.
#[test]
fn rust_version_is_the_same_everywhere() {
    let manifest = read("Cargo.toml");
    let version = manifest.split("rust-version = \"").nth(1).unwrap().split('"').next().unwrap();
    for (path, expected) in [
        ("deploy/container/Containerfile", format!("/rust:{version}-")),
        ("README.md", format!("Rust {version} ")),
        ("CONTRIBUTING.md", format!("Rust {version} ")),
    ] {
        assert!(read(path).contains(&expected), "{path} lacks {expected}");
    }
}
