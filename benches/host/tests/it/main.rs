//! Runs the comparison with the agent alone, which needs no other program.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

/// Returns the command with a short run.
fn compare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-host-cost"));
    command.args(["--samples", "3", "--rounds", "1", "--interval", "1s"]);
    command.args(["--forwarded-pages", "2"]).args(arguments);
    command
}

/// Returns the cells of a program's row.
fn cells(table: &str, program: &str) -> Vec<String> {
    let row = table.lines().find(|line| line.starts_with(&format!("| {program} |")));
    let row = row.unwrap_or_else(|| panic!("no {program} in {table}"));
    row.split('|').skip(2).map(|cell| cell.trim().to_owned()).collect()
}

/// Checks that all figures of a program were measured.
fn assert_measured(cells: &[String]) {
    for figure in &cells[1..6] {
        assert!(figure.parse::<f64>().is_ok(), "{cells:?}");
    }
    let series: f64 = cells[4].parse().unwrap();
    let bytes: f64 = cells[5].parse().unwrap();
    assert!(series > 100.0 && bytes > 10.0, "{cells:?}");
}

#[test]
fn agent_is_measured_without_other_programs() {
    let nowhere = tempfile::tempdir().unwrap();
    let page = nowhere.path().join("page.md");
    let mut command = compare(&["--write", page.to_str().unwrap()]);
    let output = command.env("PATH", nowhere.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    let mut agent = cells(&table, "fleetgauge-agent");
    assert_eq!(agent[3], "not counted");
    agent[3] = "0".to_owned();
    assert_measured(&agent);
    let advice = "not installed: apt-get install prometheus-node-exporter";
    assert_eq!(cells(&table, "node_exporter")[1], advice);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&table) && page.contains("--samples 3"), "{page}");
}

#[test]
#[ignore = "needs prometheus-node-exporter and strace"]
fn exporter_is_measured() {
    let output = compare(&["--traced-samples", "2"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    for program in ["fleetgauge-agent", "node_exporter"] {
        assert_measured(&cells(&table, program));
    }
}

#[test]
fn invalid_flags_exit_64() {
    for flags in [["--samples", "0"], ["--interval", "500ms"], ["--rounds", "many"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-host-cost"));
        assert_eq!(command.args(flags).output().unwrap().status.code(), Some(64), "{flags:?}");
    }
}
