//! Tables of systemd's units.

use super::super::column::{counter, gauge, table as declare};
use crate::tables::{ColumnSpec, TableSpec};

/// States that all units have series for.
pub(super) const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];

/// Indexes of tables.
pub(super) mod table {
    pub(crate) const VERSION: usize = 0;
    pub(crate) const VIRTUALIZATION: usize = 1;
    pub(crate) const RUNNING: usize = 2;
    pub(crate) const SUMMARY: usize = 3;
    pub(crate) const STATE: usize = 4;
    pub(crate) const UNIT: usize = 5;
}

/// Columns of the table of units.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    Restarts,
    Tasks,
    TasksMax,
    StartTime,
    LastTrigger,
    Accepted,
    Connections,
    RefusedConnections,
}

const VERSION: [ColumnSpec; 1] = [gauge("node_systemd_version", "Version of systemd.").decimals(2)];
const VIRTUALIZATION: [ColumnSpec; 1] =
    [gauge("node_systemd_virtualization_info", "Kind of virtualization: always 1.")];
const RUNNING: [ColumnSpec; 1] =
    [gauge("node_systemd_system_running", "Whether the host has started and no unit failed.")];
const SUMMARY: [ColumnSpec; 1] = [gauge("node_systemd_units", "Number of units in the state.")];

const STATE: [ColumnSpec; STATES.len()] = [
    state(&[("state", STATES[0])]),
    state(&[("state", STATES[1])]),
    state(&[("state", STATES[2])]),
    state(&[("state", STATES[3])]),
    state(&[("state", STATES[4])]),
];

const fn state(labels: &'static [(&'static str, &'static str)]) -> ColumnSpec {
    gauge("node_systemd_unit_state", "Whether the unit is in the state.").labelled(labels)
}

/// In the order of [`Column`].
#[rustfmt::skip] // one line each
const UNIT: [ColumnSpec; 8] = [
    counter("node_systemd_service_restart_total", "Automatic restarts of the service."),
    gauge("node_systemd_unit_tasks_current", "Number of tasks of the service."),
    gauge("node_systemd_unit_tasks_max", "Maximum number of tasks of the service."),
    gauge("node_systemd_unit_start_time_seconds", "When the unit became active.").decimals(6),
    gauge("node_systemd_timer_last_trigger_seconds", "When the timer last ran.").decimals(6),
    counter("node_systemd_socket_accepted_connections_total", "Connections accepted so far."),
    gauge("node_systemd_socket_current_connections", "Connections that are open."),
    counter("node_systemd_socket_refused_connections_total", "Connections refused so far."),
];

/// Returns all tables.
pub(super) fn all() -> Vec<TableSpec> {
    vec![
        declare(&["version"], &VERSION),
        declare(&["virtualization_type"], &VIRTUALIZATION),
        declare(&[], &RUNNING),
        declare(&["state"], &SUMMARY),
        declare(&["name", "type"], &STATE),
        declare(&["name"], &UNIT),
    ]
}
