//! Checks of the files alone, which need no other program.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::programs::repository;
use super::{Dashboard, array, expressions, text};

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// Reference of the data source that the user chooses.
const DATA_SOURCE: &str = "${datasource}";
/// Variables that Grafana sets.
const BUILT_IN: [&str; 4] = ["__data", "__field", "__rate_interval", "__url_time_range"];
/// Series that Prometheus makes.
const OF_PROMETHEUS: [&str; 2] = ["ALERTS", "up"];
/// Suffixes of a histogram's series.
const HISTOGRAM: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Panels of these kinds have columns or names instead of one unit.
fn has_unit(panel: &Value) -> bool {
    panel["type"] != "table"
}

fn assert_unique<T: Ord + std::fmt::Debug>(items: impl IntoIterator<Item = T>, what: &str) {
    let mut seen = BTreeSet::new();
    for item in items {
        assert!(!seen.contains(&item), "{what}: {item:?} is not unique");
        seen.insert(item);
    }
}

/// Column and row of a panel, and those behind its end.
fn place(panel: &Value) -> [u64; 4] {
    let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| {
        let number = panel["gridPos"][key].as_u64();
        number.unwrap_or_else(|| panic!("{}: no {key}", panel["title"]))
    });
    [x, y, x + w, y + h]
}

#[test]
fn there_are_three_dashboards_with_names_of_their_own() {
    let dashboards = Dashboard::all();
    let names: Vec<_> = dashboards.iter().map(|dashboard| dashboard.name.as_str()).collect();
    assert_eq!(names, ["collectors", "fleet", "host"]);
    for dashboard in &dashboards {
        assert_eq!(dashboard.uid(), format!("fleetgauge-{}", dashboard.name));
        assert_eq!(dashboard.json["id"], Value::Null, "an id belongs to one Grafana");
    }
}

#[test]
fn every_panel_has_an_id_a_title_a_description_and_a_unit() {
    for dashboard in Dashboard::all() {
        let all = array(&dashboard.json["panels"]);
        assert_unique(all.iter().map(|panel| panel["id"].as_u64().unwrap()), &dashboard.name);
        assert_unique(all.iter().map(|panel| text(&panel["title"])), &dashboard.name);
        for panel in dashboard.panels() {
            let name = dashboard.panel_name(panel);
            assert!(!text(&panel["title"]).is_empty(), "{name}: no title");
            assert!(text(&panel["description"]).ends_with('.'), "{name}: no description");
            let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
            assert!(!unit.is_empty() || !has_unit(panel), "{name}: no unit");
        }
    }
}

#[test]
fn panels_fit_into_the_grid_and_do_not_overlap() {
    for dashboard in Dashboard::all() {
        let panels = array(&dashboard.json["panels"]);
        for (number, panel) in panels.iter().enumerate() {
            let [left, top, right, bottom] = place(panel);
            let title = &panel["title"];
            assert!(left < right && right <= COLUMNS && top < bottom, "{title} is out of place");
            for other in &panels[..number] {
                let [o_left, o_top, o_right, o_bottom] = place(other);
                let is_apart =
                    right <= o_left || o_right <= left || bottom <= o_top || o_bottom <= top;
                assert!(is_apart, "{title} overlaps {}", other["title"]);
            }
        }
    }
}

#[test]
fn every_query_uses_the_chosen_data_source() {
    for dashboard in Dashboard::all() {
        let chosen = &dashboard.variables()[0];
        assert_eq!((text(&chosen["name"]), text(&chosen["type"])), ("datasource", "datasource"));
        for panel in dashboard.panels() {
            let name = dashboard.panel_name(panel);
            let targets = array(&panel["targets"]);
            assert!(!targets.is_empty(), "{name}: no query");
            assert_unique(targets.iter().map(|target| text(&target["refId"])), &name);
            for of in targets.iter().chain([panel]) {
                assert_eq!(of["datasource"]["uid"], DATA_SOURCE, "{name}");
            }
            for target in targets {
                assert!(!text(&target["expr"]).is_empty(), "{name}: no expression");
            }
        }
        for variable in dashboard.variables().iter().filter(|one| one["type"] == "query") {
            assert_eq!(variable["datasource"]["uid"], DATA_SOURCE, "{variable}");
        }
    }
}

/// Returns all texts in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_variable_in_use_is_declared() {
    for dashboard in Dashboard::all() {
        let declared = dashboard.variables().iter().map(|variable| text(&variable["name"]));
        let declared: BTreeSet<_> = declared.collect();
        let used: BTreeSet<_> = texts(&dashboard.json)
            .into_iter()
            // The value of a variable that stands for all.
            .filter(|text| *text != "$__all")
            .flat_map(expressions::variables)
            .filter(|name| !BUILT_IN.contains(name))
            .collect();
        assert_eq!(used, declared, "{}", dashboard.name);
    }
}

/// Other tests compare these documents with what collector and agent expose.
#[test]
fn every_metric_in_use_is_documented() {
    let documents = ["docs/metrics.md", "docs/collector-metrics.md"]
        .map(|path| std::fs::read_to_string(repository(path)).unwrap())
        .concat();
    let is_documented = |name: &str| documents.contains(&format!("`{name}`"));
    let exists = |name: &str| {
        let is_part =
            HISTOGRAM.iter().any(|suffix| name.strip_suffix(suffix).is_some_and(is_documented));
        OF_PROMETHEUS.contains(&name) || is_documented(name) || is_part
    };
    for dashboard in Dashboard::all() {
        for query in dashboard.queries() {
            let used = expressions::metrics(query.expression);
            assert!(!used.is_empty(), "{}: {}", query.panel, query.expression);
            for name in used {
                assert!(exists(name), "{}: no metric {name} exists", query.panel);
            }
        }
    }
}

#[test]
fn links_lead_to_dashboards_that_exist_and_set_variables_that_exist() {
    let dashboards = Dashboard::all();
    let mut links = 0;
    for dashboard in &dashboards {
        for link in texts(&dashboard.json).iter().filter_map(|text| text.strip_prefix("/d/")) {
            links += 1;
            let (uid, parameters) = link.split_once('?').unwrap();
            let target = dashboards.iter().find(|other| other.uid() == uid);
            let target = target.unwrap_or_else(|| panic!("{}: no {uid}", dashboard.name));
            let set = parameters.split('&').filter_map(|one| one.strip_prefix("var-"));
            for name in set.filter_map(|one| one.split('=').next()) {
                let is_declared = target.variables().iter().any(|one| one["name"] == name);
                assert!(is_declared, "{}: {uid} has no variable {name}", dashboard.name);
            }
        }
    }
    assert!(links > dashboards.len(), "{links} links");
}

#[test]
fn provisioning_reads_the_directory_of_the_instructions() {
    let read = |path: &str| std::fs::read_to_string(repository(path)).unwrap();
    let provider = read("deploy/grafana/provisioning/dashboards/fleetgauge.yaml");
    let path = provider.lines().find_map(|line| line.trim().strip_prefix("path: ")).unwrap();
    assert!(read("docs/grafana.md").contains(path), "docs/grafana.md lacks {path}");
}
