//! Number of processes and threads by state, from `/proc/PID/stat` and `/proc/PID/task/TID/stat`.

use std::ffi::OsString;
use std::fmt::{Arguments, Write};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::io::Errno;

use super::column::{gauge, table};
use super::files::{Directory, KeptFile};
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
    /// Ids of the processes of a reading, and of the threads of a process.
    pids: Vec<u32>,
    tids: Vec<u32>,
    path: OsString,
}

/// Numbers of a reading.
struct Counts {
    pids: usize,
    threads: u64,
    process_states: [u32; 128],
    thread_states: [u32; 128],
    /// Number of processes and threads that may still be read.
    left: usize,
}

/// What a `stat` file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    /// An ASCII letter.
    state: u8,
    threads: u64,
}

impl Source for Processes {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let counts = self.count()?;
        let limit = |file: &mut KeptFile| {
            let text = file.read()?.trim();
            let number: Option<u64> = text.parse().ok();
            let broken = || SourceError::new(format_args!("{}: no number", file.path().display()));
            number.map(|number| number as f64).ok_or_else(broken)
        };
        let limits = [limit(&mut self.max_threads)?, limit(&mut self.max_processes)?];
        let totals = [counts.threads as f64, limits[0], counts.pids as f64, limits[1]];
        output.row(TOTALS, &[]).copy_from_slice(&totals);
        write(PROCESS_STATES, &counts.process_states, output);
        write(THREAD_STATES, &counts.thread_states, output);
        Ok(())
    }
}

/// Writes the states that exist.
fn write(table: usize, states: &[u32], output: &mut Output) {
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
            tids: Vec::new(),
            path: OsString::new(),
        }
    }

    fn count(&mut self) -> Result<Counts, SourceError> {
        let mut counts = Counts {
            pids: 0,
            threads: 0,
            process_states: [0; 128],
            thread_states: [0; 128],
            left: self.max_tasks,
        };
        let failed = |error| SourceError::new(format_args!("{}: {error}", self.procfs.display()));
        list(&mut self.directory, &mut self.pids, self.max_tasks).map_err(failed)?;
        let pids = std::mem::take(&mut self.pids);
        let counted = pids.iter().try_for_each(|pid| self.count_process(*pid, &mut counts));
        self.pids = pids;
        counted.map(|()| counts)
    }

    fn count_process(&mut self, pid: u32, counts: &mut Counts) -> Result<(), SourceError> {
        let Some(stat) = self.stat(format_args!("/{pid}/stat"), counts)? else { return Ok(()) };
        counts.pids += 1;
        counts.threads = counts.threads.saturating_add(stat.threads);
        add(&mut counts.process_states, stat.state);
        if stat.threads <= 1 {
            // The state of the only thread is that of the process.
            add(&mut counts.thread_states, stat.state);
            return Ok(());
        }
        self.set_path(format_args!("/{pid}/task"));
        match list(&mut Directory::new(&self.path), &mut self.tids, counts.left) {
            Err(error) if is_gone(&error) => return Ok(()),
            listed => listed.map_err(|error| self.error(&error))?,
        }
        let tids = std::mem::take(&mut self.tids);
        let mut count_thread = |tid: u32| {
            let read = if tid == pid {
                Some(stat)
            } else {
                self.stat(format_args!("/{pid}/task/{tid}/stat"), counts)?
            };
            if let Some(stat) = read {
                add(&mut counts.thread_states, stat.state);
            }
            Ok(())
        };
        let counted = tids.iter().try_for_each(|tid| count_thread(*tid));
        self.tids = tids;
        counted
    }

    /// Reads a `stat` file; `None` if the process or thread has ended.
    fn stat(
        &mut self,
        file: Arguments<'_>,
        counts: &mut Counts,
    ) -> Result<Option<Stat>, SourceError> {
        let too_many = || SourceError::new(format_args!("more than {} tasks", self.max_tasks));
        counts.left = counts.left.checked_sub(1).ok_or_else(too_many)?;
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

fn add(states: &mut [u32; 128], state: u8) {
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
