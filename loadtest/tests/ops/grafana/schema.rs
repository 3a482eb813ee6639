//! Checks the dashboards with the types of Grafana's own packages.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::super::programs::repository;
use super::{DASHBOARDS, Dashboard};

/// Directory of the check: its packages, with a lock file, and the type of a dashboard.
const SCHEMA: &str = "loadtest/tests/ops/grafana/schema";

/// Runs a program of Node.js. Returns whether it succeeded, and its output.
fn run(program: &str, flags: &[&str], directory: &Path) -> (bool, String) {
    let done = Command::new(program).args(flags).current_dir(directory).output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
    let output = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&output).into_owned())
}

/// Installs the check in a directory.
fn install(directory: &Path) {
    for entry in std::fs::read_dir(repository(SCHEMA)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
    }
    let flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    let (is_done, output) = run("npm", &flags, directory);
    assert!(is_done, "npm ci: {output}");
}

/// Returns the errors of the compiler for these dashboards, or nothing.
fn errors(dashboards: &[(&str, &str)], directory: &Path) -> Option<String> {
    let mut source = "import type { Dashboard } from \"./dashboard\";\n".to_owned();
    for (name, json) in dashboards {
        writeln!(source, "export const {name}: Dashboard = {json};").unwrap();
    }
    std::fs::write(directory.join("dashboards.ts"), source).unwrap();
    let (is_done, output) = run("npx", &["--no-install", "tsc", "--project", "."], directory);
    (!is_done).then_some(output)
}

#[test]
#[ignore = "needs npm"]
fn dashboards_have_the_types_of_grafana() {
    let directory = tempfile::tempdir().unwrap();
    install(directory.path());
    let texts = Dashboard::all().into_iter().map(|Dashboard { name, .. }| {
        let path = repository(DASHBOARDS).join(format!("{name}.json"));
        (name, std::fs::read_to_string(path).unwrap())
    });
    let texts: Vec<_> = texts.collect();
    let texts: Vec<_> = texts.iter().map(|(name, text)| (&**name, &**text)).collect();
    let found = errors(&texts, directory.path());
    assert!(found.is_none(), "{}", found.unwrap());

    // The check finds a wrong key and a wrong value.
    for (right, wrong) in [
        ("\"textMode\":", "\"textMood\":"),
        ("\"showPoints\": \"never\"", "\"showPoints\": \"no\""),
    ] {
        let (name, text) = texts.iter().find(|(_, text)| text.contains(right)).unwrap();
        let broken = text.replacen(right, wrong, 1);
        let found = errors(&[(name, &broken)], directory.path()).unwrap_or_default();
        assert!(found.contains("error TS"), "{wrong} was not found: {found}");
    }
}
