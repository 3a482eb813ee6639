//! The command as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::TEST_TIMEOUT;

/// The command, without environment variables that could change its settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-collector"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLEETGAUGE_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running collector and its log. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: Option<BufReader<ChildStderr>>,
    /// Addresses of the agent ports.
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) agents: SocketAddr,
    pub(crate) http: SocketAddr,
}

pub(crate) const FREE_PORTS: [&str; 4] =
    ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];

/// Returns an address that no other test uses: the loopback address depends on the process id, and
/// each call returns another port.
pub(crate) fn unused_address() -> SocketAddr {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
    ([127, 100 + high % 100, middle, low], port).into()
}

impl Process {
    /// Starts a collector and reads its addresses from the log.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut all = FREE_PORTS.to_vec();
        all.extend(arguments);
        let mut command = command(&all);
        command.stdout(Stdio::null());
        let count = all.iter().filter(|argument| **argument == "--listen").count();
        Self::run(command, count)
    }

    /// Starts this command, which listens on `count` agent addresses, and reads them from the log.
    pub(crate) fn run(mut command: Command, count: usize) -> Self {
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        // From here on dropping it kills the process.
        let nowhere = SocketAddr::from(([0; 4], 0));
        let listeners = Vec::new();
        let mut process = Self { child, log: None, listeners, agents: nowhere, http: nowhere };
        let mut log = BufReader::new(process.child.stderr.take().unwrap());
        process.listeners = (0..count).map(|_| bound(&mut log, "listening for agents")).collect();
        process.agents = process.listeners[0];
        process.http = bound(&mut log, "serving HTTP");
        process.log = Some(log);
        process
    }

    /// Starts a collector whose log this process does not read, with addresses chosen in advance.
    pub(crate) fn start_deaf(mut command: Command) -> Self {
        let (agents, http) = (unused_address(), unused_address());
        let (listen, serve) = (agents.to_string(), http.to_string());
        command.args(["--listen", &listen, "--http-listen", &serve]);
        let child = command.spawn().unwrap();
        let process = Self { child, log: None, listeners: vec![agents], agents, http };
        super::eventually("the collector listens", || std::net::TcpStream::connect(http).is_ok());
        process
    }

    /// Runs a command that must fail. Returns its exit status and output.
    pub(crate) fn fails(mut command: Command) -> (ExitStatus, String) {
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let nowhere = SocketAddr::from(([0; 4], 0));
        let mut process =
            Self { child, log: None, listeners: Vec::new(), agents: nowhere, http: nowhere };
        let status = process.ends();
        let said = std::io::read_to_string(process.child.stderr.take().unwrap()).unwrap();
        (status, said)
    }

    /// Returns the next line of the log with this text.
    pub(crate) fn logs(&mut self, what: &str) -> String {
        line_with(self.log.as_mut().unwrap(), what)
    }

    /// Stops the collector and returns the rest of the log; nothing if it is
    /// [collected](Self::collects).
    pub(crate) fn stopped(mut self) -> String {
        self.signal(rustix::process::Signal::TERM);
        let Some(log) = self.log.take() else {
            self.ends();
            return String::new();
        };
        std::io::read_to_string(log).unwrap()
    }

    /// Reads the rest of the log on a thread, so that a long log does not block the collector.
    pub(crate) fn collects(&mut self) -> JoinHandle<String> {
        let log = self.log.take().unwrap();
        std::thread::spawn(move || std::io::read_to_string(log).unwrap())
    }

    /// Closes the reading end of the log.
    pub(crate) fn close_log(&mut self) {
        self.log = None;
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// User and system CPU time so far, in ticks of about 10 ms.
    #[cfg(target_os = "linux")]
    pub(crate) fn cpu(&self) -> std::time::Duration {
        let stat = procfs::process::Process::new(self.pid()).unwrap().stat().unwrap();
        let ticks = (stat.utime + stat.stime) as f64;
        std::time::Duration::from_secs_f64(ticks / procfs::ticks_per_second() as f64)
    }

    /// Maximum resident memory so far, in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn most_resident(&self) -> u64 {
        let status = procfs::process::Process::new(self.pid()).unwrap().status().unwrap();
        status.vmhwm.unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn ends(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < TEST_TIMEOUT, "the process does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_with(log: &mut BufReader<ChildStderr>, what: &str) -> String {
    let until = Instant::now() + TEST_TIMEOUT;
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert!(is_readable(log, until), "no {what:?} in the log for {TEST_TIMEOUT:?}:\n{seen}");
        assert!(log.read_line(&mut line).unwrap() > 0, "no {what:?} in the log:\n{seen}");
        if line.contains(what) {
            return line;
        }
        seen.push_str(&line);
    }
}

/// Whether the next line, or the end of the log, arrives in time. Lines are written whole.
fn is_readable(log: &BufReader<ChildStderr>, until: Instant) -> bool {
    if !log.buffer().is_empty() {
        return true;
    }
    let left = until.saturating_duration_since(Instant::now());
    let mut ready = [PollFd::new(log.get_ref(), PollFlags::IN)];
    poll(&mut ready, Some(&left.try_into().unwrap())).unwrap() > 0
}

fn bound(log: &mut BufReader<ChildStderr>, what: &str) -> SocketAddr {
    let line = line_with(log, what);
    let address = line.trim_end().split("address=").nth(1).unwrap_or_else(|| panic!("{line:?}"));
    let address: SocketAddr = address.parse().unwrap_or_else(|_| panic!("{line:?}"));
    assert_ne!(address.port(), 0);
    address
}
