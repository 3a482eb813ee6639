//! Number of processes and threads by state, from `/proc/PID/stat` and `/proc/PID/task/TID/stat`.

use std::ffi::OsString;
use std::fmt::{Arguments, Write};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::io::Errno;

use super::column::{gauge, table};
use super::files::{Directory, KeptFile, number};
use super::read_errors::ReadErrors;
use super::{Collector, NodeOptions, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "processes",
    by_default: false,
    options: &[],
    tables: |_| {
        vec![
            table(&[], &COLUMNS),
            table(&["state"], &[gauge("node_processes_state", "Number of processes, by state.")]),
            table(
                &["thread_state"],
                &[gauge("node_processes_threads_state", "Number of threads, by state.")],
            ),
        ]
    },
    create: |options| Ok(Box::new(Processes::new(options, MAX_TASKS))),
};

/// Indexes of the tables.
const TOTALS: usize = 0;
const PROCESS_STATES: usize = 1;
const THREAD_STATES: usize = 2;

const COLUMNS: [ColumnSpec; 4] = [
    gauge("node_processes_threads", "Number of threads."),
    gauge("node_processes_max_threads", "Maximum number of threads that the kernel allows."),
    gauge("node_processes_pids", "Number of processes."),
    gauge("node_processes_max_processes", "Number at which process ids wrap."),
];

/// Maximum number of processes and threads that are read: each costs some 10 us.
const MAX_TASKS: usize = 100_000;
/// Size of the read buffer, in bytes. The needed fields are in the first 500 bytes.
const BUFFER_BYTES: usize = 1024;
/// Index of the number of threads in the fields after the name.
const THREADS_FIELD: usize = 17;

struct Processes {
    procfs: PathBuf,
    directory: Directory,
    max_threads: KeptFile,
    max_processes: KeptFile,
    max_tasks: usize,
    // Of a reading, to be reused: ids, what their files say, and the threads of a process.
    pids: Vec<u32>,
    processes: Vec<(u32, Stat)>,
    tids: Vec<u32>,
    path: OsString,
    read_errors: ReadErrors,
}

/// Number of processes or threads in each state, by its letter.
type States = [u32; 128];

/// What a `stat` file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    /// An ASCII letter.
    state: u8,
    threads: u64,
}

impl Source for Processes {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        self.read_processes()?;
        let limits = [number(&mut self.max_threads)?, number(&mut self.max_processes)?];
        let (mut states, mut threads) = ([0; 128], 0_u64);
        for (_, stat) in &self.processes {
            add(&mut states, stat.state);
            threads = threads.saturating_add(stat.threads);
        }
        let totals = [threads as f64, limits[0], self.processes.len() as f64, limits[1]];
        output.row(TOTALS, &[]).copy_from_slice(&totals);
        write(PROCESS_STATES, &states, output);
        self.read_errors.check(Ok(()));
        let states = self.thread_states();
        if let Some(states) = self.read_errors.check(states) {
            write(THREAD_STATES, &states, output);
        }
        self.read_errors.finish()
    }
}

/// Writes the states that exist.
fn write(table: usize, states: &States, output: &mut Output) {
    for (state, count) in (0_u8..).zip(states).filter(|(_, count)| **count > 0) {
        let mut text = [0; 4];
        let state = char::from(state).encode_utf8(&mut text);
        output.row(table, &[state])[0] = f64::from(*count);
    }
}

impl Processes {
    fn new(options: &NodeOptions, max_tasks: usize) -> Self {
        Self {
            procfs: options.procfs(""),
            directory: Directory::new(options.procfs("")),
            max_threads: KeptFile::new(options.procfs("sys/kernel/threads-max")),
            max_processes: KeptFile::new(options.procfs("sys/kernel/pid_max")),
            max_tasks,
            pids: Vec::new(),
            processes: Vec::new(),
            tids: Vec::new(),
            path: OsString::new(),
            read_errors: ReadErrors::new("processes"),
        }
    }

    /// Reads all processes.
    fn read_processes(&mut self) -> Result<(), SourceError> {
        let failed = |error| SourceError::new(format_args!("{}: {error}", self.procfs.display()));
        list(&mut self.directory, &mut self.pids, self.max_tasks).map_err(failed)?;
        if self.pids.len() > self.max_tasks {
            return Err(self.too_many("processes"));
        }
        self.processes.clear();
        for at in 0..self.pids.len() {
            let pid = self.pids[at];
            if let Some(stat) = self.stat(format_args!("/{pid}/stat"))? {
                self.processes.push((pid, stat));
            }
        }
        Ok(())
    }

    /// Counts the threads of the processes by state. Reads none if they are too many.
    fn thread_states(&mut self) -> Result<States, SourceError> {
        let mut left = self.max_tasks.saturating_sub(self.processes.len());
        let others = self.processes.iter().map(|(_, stat)| stat.threads.saturating_sub(1));
        if others.fold(0, u64::saturating_add) > left as u64 {
            return Err(self.too_many("processes and threads"));
        }
        let mut states = [0; 128];
        for at in 0..self.processes.len() {
            let (pid, stat) = self.processes[at];
            if stat.threads <= 1 {
                // The state of the only thread is that of the process.
                add(&mut states, stat.state);
                continue;
            }
            self.set_path(format_args!("/{pid}/task"));
            match list(&mut Directory::new(&self.path), &mut self.tids, left) {
                Err(error) if is_gone(&error) => continue,
                listed => listed.map_err(|error| self.error(&error))?,
            }
            for at in 0..self.tids.len() {
                let tid = self.tids[at];
                let mut read = Some(stat);
                if tid != pid {
                    // More may have been started since the process was read.
                    let rest = left.checked_sub(1);
                    left = rest.ok_or_else(|| self.too_many("processes and threads"))?;
                    read = self.stat(format_args!("/{pid}/task/{tid}/stat"))?;
                }
                if let Some(stat) = read {
                    add(&mut states, stat.state);
                }
            }
        }
        Ok(states)
    }

    /// Reads a `stat` file; `None` if the process or thread has ended.
    fn stat(&mut self, file: Arguments<'_>) -> Result<Option<Stat>, SourceError> {
        self.set_path(file);
        let mut buffer = [0; BUFFER_BYTES];
        match File::open(&self.path).and_then(|mut file| file.read(&mut buffer)) {
            Ok(len) => match buffer.get(..len).and_then(Stat::parse) {
                Some(stat) => Ok(Some(stat)),
                None => Err(self.error(&"broken")),
            },
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    fn too_many(&self, what: &str) -> SourceError {
        let Self { procfs, max_tasks, .. } = self;
        SourceError::new(format_args!("{}: more than {max_tasks} {what}", procfs.display()))
    }

    fn set_path(&mut self, file: Arguments<'_>) {
        self.path.clear();
        self.path.push(self.procfs.as_os_str());
        // Writing to memory does not fail.
        let _ = self.path.write_fmt(file);
    }

    /// Returns an error about the file whose path was set last.
    fn error(&self, problem: &dyn std::fmt::Display) -> SourceError {
        SourceError::new(format_args!("{}: {problem}", self.path.display()))
    }
}

/// Lists the numbers in a directory of procfs, at most one more than `max`.
fn list(directory: &mut Directory, numbers: &mut Vec<u32>, max: usize) -> io::Result<()> {
    numbers.clear();
    directory.list(|name| {
        if numbers.len() <= max
            && let Ok(number) = name.parse()
        {
            numbers.push(number);
        }
    })
}

fn add(states: &mut States, state: u8) {
    if let Some(count) = states.get_mut(usize::from(state)) {
        *count += 1;
    }
}

/// Returns whether the process or thread has ended.
fn is_gone(error: &io::Error) -> bool {
    let no_process = Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(no_process)
}

impl Stat {
    /// Parses `PID (NAME) STATE ...`. The name may contain anything.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        let fields = str::from_utf8(bytes.get(end + 1..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let state = match fields.next()?.as_bytes() {
            [state] if state.is_ascii_graphic() => *state,
            _ => return None,
        };
        Some(Self { state, threads: fields.nth(THREADS_FIELD - 1)?.parse().ok()? })
    }
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
