//! The dashboards of `deploy/grafana`: their files are consistent, Grafana's own types accept them,
//! and a real Prometheus has data for every query.

mod expressions;
mod files;
mod queries;
mod schema;

use serde_json::Value;

use super::programs::repository;

/// Directory of the dashboards.
const DASHBOARDS: &str = "deploy/grafana/dashboards";

/// A dashboard file.
struct Dashboard {
    name: String,
    json: Value,
}

/// A query of a panel.
struct Query<'a> {
    /// Dashboard and title of the panel, for messages.
    panel: String,
    expression: &'a str,
}

impl Dashboard {
    /// Reads all dashboards, in the order of their names.
    fn all() -> Vec<Self> {
        let entries = std::fs::read_dir(repository(DASHBOARDS)).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let text = std::fs::read_to_string(path).unwrap();
            let json = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Self { name: path.file_stem().unwrap().to_str().unwrap().to_owned(), json }
        };
        paths.iter().map(read).collect()
    }

    fn uid(&self) -> &str {
        text(&self.json["uid"])
    }

    /// All panels but rows.
    fn panels(&self) -> impl Iterator<Item = &Value> {
        array(&self.json["panels"]).iter().filter(|panel| panel["type"] != "row")
    }

    fn variables(&self) -> &[Value] {
        array(&self.json["templating"]["list"])
    }

    /// Names a panel in messages.
    fn panel_name(&self, panel: &Value) -> String {
        format!("{}: {}", self.name, text(&panel["title"]))
    }

    fn queries(&self) -> impl Iterator<Item = Query<'_>> {
        self.panels().flat_map(|panel| {
            array(&panel["targets"]).iter().map(|target| Query {
                panel: self.panel_name(panel),
                expression: text(&target["expr"]),
            })
        })
    }
}

/// Returns a text, or an empty one if there is none.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns the items of an array, or none.
fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
