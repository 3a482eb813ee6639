//! CPU times, from `/proc/stat`.

use super::{MAX_CPUS, TIMES};
use crate::sampler::SourceError;
use crate::sampler::node::NodeOptions;
use crate::sampler::node::column::counter;
use crate::sampler::node::files::{KeptFile, bad_line, parse_file};
use crate::tables::{ColumnSpec, Output};

/// Clock ticks per second of the times in `/proc/stat`: the same on all architectures that are
/// still supported.
const TICKS_PER_SECOND: f64 = 100.0;
/// Number of times that every kernel has: user, nice, system and idle.
const MIN_TIMES: usize = 4;
/// A CPU whose idle time falls by this many ticks was offline: its times start again.
const RESET_TICKS: u64 = 300;
/// Index of the idle time.
const IDLE: usize = 3;
/// Index of the first of the two guest times.
const GUEST: usize = 8;

const COLUMNS: [ColumnSpec; 10] = [
    seconds(&[("mode", "user")]),
    seconds(&[("mode", "nice")]),
    seconds(&[("mode", "system")]),
    seconds(&[("mode", "idle")]),
    seconds(&[("mode", "iowait")]),
    seconds(&[("mode", "irq")]),
    seconds(&[("mode", "softirq")]),
    seconds(&[("mode", "steal")]),
    guest_seconds(&[("mode", "user")]),
    guest_seconds(&[("mode", "nice")]),
];

const fn seconds(mode: &'static [(&'static str, &'static str)]) -> ColumnSpec {
    let help = "Time that the CPU spent in a mode. Modes user and nice include guests.";
    counter("node_cpu_seconds_total", help).decimals(2).labelled(mode)
}

const fn guest_seconds(mode: &'static [(&'static str, &'static str)]) -> ColumnSpec {
    let help = "Time that the CPU spent in guests; also counted in the same mode of the CPU.";
    counter("node_cpu_guest_seconds_total", help).decimals(2).labelled(mode)
}

/// Returns the columns that are selected.
pub(super) fn columns(options: &NodeOptions) -> &'static [ColumnSpec] {
    if options.switch("cpu.guest") { &COLUMNS } else { &COLUMNS[..GUEST] }
}

/// Times of a CPU by column, in ticks.
type Ticks = [u64; COLUMNS.len()];

/// Reads the times of all CPUs.
#[derive(Debug)]
pub(super) struct CpuTimes {
    file: KeptFile,
    /// Times that were reported, ascending by CPU.
    cpus: Vec<Cpu>,
}

#[derive(Debug)]
struct Cpu {
    number: u32,
    label: Box<str>,
    ticks: Ticks,
    seen: bool,
}

impl CpuTimes {
    pub(super) fn new(options: &NodeOptions) -> Self {
        Self { file: KeptFile::shared(options.procfs("stat")), cpus: Vec::new() }
    }

    pub(super) fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { file, cpus } = self;
        cpus.iter_mut().for_each(|cpu| cpu.seen = false);
        parse_file(file, |text| update(cpus, text))?;
        for cpu in cpus {
            // Without guest times the row is shorter.
            let row = output.row(TIMES, &[&cpu.label]).iter_mut();
            row.zip(cpu.ticks).for_each(|(value, ticks)| *value = ticks as f64 / TICKS_PER_SECOND);
        }
        Ok(())
    }
}

/// Updates the times of the CPUs that are online.
fn update(cpus: &mut Vec<Cpu>, text: &str) -> Result<(), String> {
    let mut next = 0;
    // The lines of CPUs come first; the first one is their sum.
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        let Some((number, times)) = line["cpu".len()..].split_once(' ') else { continue };
        if number.is_empty() {
            continue;
        }
        let (number, ticks) = parse(number, times).ok_or_else(|| bad_line(line))?;
        if let Some(at) = find(cpus, number, next) {
            cpus[at].update(&ticks);
            next = at + 1;
        }
    }
    cpus.retain(|cpu| cpu.seen);
    if cpus.is_empty() { Err("no CPU".to_owned()) } else { Ok(()) }
}

/// Parses the number of a CPU and its times. Kernels that lack the last times have 0 for them.
fn parse(number: &str, times: &str) -> Option<(u32, Ticks)> {
    let number = number.parse().ok()?;
    let mut ticks = Ticks::default();
    let mut fields = times.split_ascii_whitespace();
    for (index, ticks) in ticks.iter_mut().enumerate() {
        match fields.next() {
            Some(field) => *ticks = field.parse().ok()?,
            None if index < MIN_TIMES => return None,
            None => break,
        }
    }
    Some((number, ticks))
}

/// Returns the index of a CPU, which is added if it is new: `None` if there are too many. `next` is
/// the index where it is if the same CPUs are online as before.
fn find(cpus: &mut Vec<Cpu>, number: u32, next: usize) -> Option<usize> {
    if cpus.get(next).is_some_and(|cpu| cpu.number == number) {
        return Some(next);
    }
    match cpus.binary_search_by_key(&number, |cpu| cpu.number) {
        Ok(at) => Some(at),
        Err(at) if cpus.len() < MAX_CPUS => {
            let label = number.to_string().into();
            cpus.insert(at, Cpu { number, label, ticks: Ticks::default(), seen: true });
            Some(at)
        }
        Err(_) => None,
    }
}

impl Cpu {
    /// Updates the times. One that falls stays as it is: the kernel's idle and iowait times are not
    /// exact.
    fn update(&mut self, ticks: &Ticks) {
        self.seen = true;
        if self.ticks[IDLE].saturating_sub(ticks[IDLE]) >= RESET_TICKS {
            self.ticks = Ticks::default();
        }
        for (kept, now) in self.ticks.iter_mut().zip(ticks) {
            *kept = (*kept).max(*now);
        }
    }
}
