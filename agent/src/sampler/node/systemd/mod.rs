//! Units of systemd, by D-Bus.
//!
//! | file | what it is for |
//! |---|---|
//! | `bus.rs` | asks systemd |
//! | `tables.rs` | tables |

mod bus;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use regex_lite::Regex;

use self::bus::{CallError, SystemBus, Systemd, Unit, Value};
use self::tables::{Column, STATES, table};
use super::every::EveryNth;
use super::filter::Filter;
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::Output;

/// First version that tells its state and when timers ran.
const FIRST_VERSION_WITH_STATE: f64 = 212.0;
/// Maximum number of units. Further ones are ignored.
const MAX_UNITS: usize = 50_000;
/// Maximum number of states of units. systemd has eight.
const MAX_STATES: usize = 32;
/// Number of readings after which types of units are asked again: they change when somebody edits
/// the unit, and to ask for them is half of the work.
const READINGS_PER_TYPE: u32 = 20;

const INCLUDE: &str = "systemd.unit-include";
const EXCLUDE: &str = "systemd.unit-exclude";
const TASKS: &str = "systemd.enable-task-metrics";
const RESTARTS: &str = "systemd.enable-restarts-metrics";
const START_TIMES: &str = "systemd.enable-start-time-metrics";

pub(super) const COLLECTOR: Collector = Collector {
    name: "systemd",
    by_default: false,
    options: &[
        NodeOption { name: INCLUDE, kind: OptionKind::Pattern, default: ".+" },
        NodeOption {
            name: EXCLUDE,
            kind: OptionKind::Pattern,
            default: r".+\.(automount|device|mount|scope|slice)",
        },
        switch(TASKS),
        switch(RESTARTS),
        switch(START_TIMES),
    ],
    tables: |_| tables::all(),
    create: |options| {
        let bus = SystemBus::new().map_err(SourceError::new)?;
        Ok(Box::new(Units::new(options, Box::new(bus))?))
    },
};

const fn switch(name: &'static str) -> NodeOption {
    NodeOption { name, kind: OptionKind::Switch, default: "false" }
}

#[derive(Debug)]
struct Units {
    systemd: Box<dyn Systemd>,
    filter: Filter,
    has_tasks: bool,
    has_restarts: bool,
    has_start_times: bool,
    version: Regex,
    /// Types of units by name.
    types: BTreeMap<String, String>,
    ask_types: EveryNth,
}

impl Units {
    fn new(options: &NodeOptions, systemd: Box<dyn Systemd>) -> Result<Self, SourceError> {
        // Other than those of all other collectors, these patterns match the whole name.
        let anchored = |name| {
            let pattern = format!("^(?:{})$", options.text(name));
            Regex::new(&pattern).map_err(|error| SourceError::new(format_args!("{name}: {error}")))
        };
        Ok(Self {
            systemd,
            filter: Filter::new(Some(anchored(INCLUDE)?), Some(anchored(EXCLUDE)?)),
            has_tasks: options.switch(TASKS),
            has_restarts: options.switch(RESTARTS),
            has_start_times: options.switch(START_TIMES),
            version: Regex::new("[0-9]{3,}([.][0-9]+)?").map_err(SourceError::new)?,
            types: BTreeMap::new(),
            ask_types: EveryNth::new(READINGS_PER_TYPE),
        })
    }

    fn read_all(&mut self, output: &mut Output) -> Result<(), CallError> {
        self.systemd.begin()?;
        let version = self.read_version(output)?;
        self.read_virtualization(output)?;
        let mut units = self.systemd.units()?;
        units.truncate(MAX_UNITS);
        write_summary(&units, output);
        if version >= FIRST_VERSION_WITH_STATE {
            let state = self.systemd.manager_property("SystemState")?.text();
            let is_running = state.is_some_and(|state| state == "running");
            output.row(table::RUNNING, &[]).fill(f64::from(u8::from(is_running)));
        }
        for unit in &units {
            if unit.load_state == "loaded" && self.filter.selects(&unit.name) {
                self.read_unit(unit, version, output)?;
            }
        }
        Ok(())
    }

    /// Returns the version; 0 if it is not known.
    fn read_version(&mut self, output: &mut Output) -> Result<f64, CallError> {
        let text = answered(self.systemd.manager_property("Version"))?.and_then(Value::text);
        let text = text.unwrap_or_default();
        let number = self.version.find(&text).and_then(|number| number.as_str().parse().ok());
        let label = if number.is_some() { text.as_str() } else { "" };
        let number = number.unwrap_or_default();
        output.row(table::VERSION, &[label]).fill(number);
        Ok(number)
    }

    fn read_virtualization(&mut self, output: &mut Output) -> Result<(), CallError> {
        let kind = answered(self.systemd.manager_property("Virtualization"))?;
        let kind = match kind.and_then(Value::text) {
            None => "unknown".to_owned(),
            Some(kind) if kind.is_empty() => "none".to_owned(),
            Some(kind) => kind,
        };
        output.row(table::VIRTUALIZATION, &[&kind]).fill(1.0);
        Ok(())
    }

    fn read_unit(
        &mut self,
        unit: &Unit,
        version: f64,
        output: &mut Output,
    ) -> Result<(), CallError> {
        let kind = self.unit_type(unit)?;
        let row = output.row(table::STATE, &[&unit.name, &kind]);
        for (value, state) in row.iter_mut().zip(STATES) {
            *value = f64::from(u8::from(unit.active_state == state));
        }
        let row = output.row(table::UNIT, &[&unit.name]);
        let mut set = |column: Column, value: Option<f64>| {
            if let (Some(cell), Some(value)) = (row.get_mut(column as usize), value) {
                *cell = value;
            }
        };
        let systemd = &mut self.systemd;
        let mut number = |interface, name| number(&mut **systemd, unit, interface, name);
        if self.has_start_times {
            let is_active = unit.active_state == "active";
            let started =
                if is_active { number("Unit", "ActiveEnterTimestamp")? } else { Some(0.0) };
            set(Column::StartTime, started.map(seconds));
        }
        match unit.suffix() {
            "service" if self.has_restarts || self.has_tasks => {
                if self.has_restarts {
                    set(Column::Restarts, number("Service", "NRestarts")?);
                }
                if self.has_tasks {
                    set(Column::Tasks, number("Service", "TasksCurrent")?);
                    set(Column::TasksMax, number("Service", "TasksMax")?);
                }
            }
            "timer" if version >= FIRST_VERSION_WITH_STATE => {
                set(Column::LastTrigger, number("Timer", "LastTriggerUSec")?.map(seconds));
            }
            "socket" => {
                set(Column::Accepted, number("Socket", "NAccepted")?);
                set(Column::Connections, number("Socket", "NConnections")?);
                set(Column::RefusedConnections, number("Socket", "NRefused")?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the type of a service or mount; empty if it has none.
    fn unit_type(&mut self, unit: &Unit) -> Result<String, CallError> {
        let interface = match unit.suffix() {
            "service" => "Service",
            "mount" => "Mount",
            _ => return Ok(String::new()),
        };
        if let Some(kind) = self.types.get(&unit.name) {
            return Ok(kind.clone());
        }
        let kind = answered(self.systemd.property(&unit.path, interface, "Type"))?;
        let kind = kind.and_then(Value::text).unwrap_or_default();
        self.types.insert(unit.name.clone(), kind.clone());
        Ok(kind)
    }
}

impl Unit {
    /// Returns the end of its name: `service`, `socket`, ...
    fn suffix(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(_, suffix)| suffix)
    }
}

/// Writes the number of units in each state.
fn write_summary(units: &[Unit], output: &mut Output) {
    let mut counts: BTreeMap<&str, u32> = STATES.map(|state| (state, 0)).into();
    for unit in units {
        if counts.len() < MAX_STATES || counts.contains_key(&*unit.active_state) {
            *counts.entry(&unit.active_state).or_default() += 1;
        }
    }
    for (state, count) in counts {
        output.row(table::SUMMARY, &[state]).fill(f64::from(count));
    }
}

/// Reads a number of a unit; `None` if systemd does not know it.
fn number(
    systemd: &mut dyn Systemd,
    unit: &Unit,
    interface: &str,
    name: &str,
) -> Result<Option<f64>, CallError> {
    let value = answered(systemd.property(&unit.path, interface, name))?.and_then(Value::number);
    #[expect(clippy::cast_precision_loss, reason = "times and counts are far below 2^53")]
    // The maximum stands for: not counted, or no limit.
    Ok(value.filter(|number| *number != u64::MAX).map(|number| number as f64))
}

/// Returns `None` if systemd answered with an error: an older version does not know a property, or
/// the unit has just gone.
fn answered(answer: Result<Value, CallError>) -> Result<Option<Value>, CallError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(CallError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn seconds(microseconds: f64) -> f64 {
    microseconds / 1e6
}

impl Source for Units {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        if self.ask_types.is_due() {
            self.types.clear();
        }
        self.read_all(output).map_err(SourceError::new)
    }
}
