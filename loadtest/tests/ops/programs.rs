//! The programs as separate processes, each killed when its test ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fleetgauge_receiver::ReservedAddress;
use tempfile::NamedTempFile;

/// Interval between two attempts of [`wait_for`].
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `look` returns a value. Panics after `seconds`.
pub(crate) fn wait_for<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {seconds} s");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// If set, tests that this machine cannot run are skipped.
const MAY_SKIP: &str = "MAY_SKIP_TESTS";

/// Whether tests that this machine cannot run may be skipped.
pub(crate) fn may_skip() -> bool {
    std::env::var_os(MAY_SKIP).is_some()
}

/// Fails the test because this machine cannot run it, unless tests may be skipped: a test that
/// passes without having run proves nothing.
pub(crate) fn cannot_run(what: &str, output: &[u8]) {
    let why = String::from_utf8_lossy(output);
    let message = format!("cannot {what} here: {}", why.trim());
    assert!(may_skip(), "{message}; set {MAY_SKIP}=1 to skip the test");
    println!("SKIPPED: {message}");
}

/// A running program and its log.
pub(crate) struct Program {
    child: Child,
    log: NamedTempFile,
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        let log = NamedTempFile::new().unwrap();
        command.env("NO_COLOR", "1").stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)
            .unwrap();
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process has ended by itself. Returns whether it has within `seconds`.
    pub(crate) fn wait(&mut self, seconds: u64) -> bool {
        let until = Instant::now() + Duration::from_secs(seconds);
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        true
    }

    /// Kills the process with SIGKILL, where signals exist.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of process {}:\n{}", self.child.id(), self.log());
        }
    }
}

/// Returns the path of a workspace program, which is next to the tests in the target directory.
pub(crate) fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built: run cargo test --workspace", program.display());
    program
}

/// Returns the command of a program of this host: at the path in `variable`, or on PATH.
pub(crate) fn installed(variable: &str, name: &str) -> Command {
    Command::new(std::env::var_os(variable).unwrap_or_else(|| name.into()))
}

/// Returns the path of a file in the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

/// Returns an address of 127.0.0.1 with a port that is kept for one program until the tests end.
pub(crate) fn free_address() -> String {
    static RESERVED: Mutex<Vec<ReservedAddress>> = Mutex::new(Vec::new());
    let reserved = ReservedAddress::on_loopback().unwrap();
    let address = reserved.address().to_string();
    RESERVED.lock().unwrap().push(reserved);
    address
}

/// A collector on free ports.
pub(crate) struct Collector {
    pub(crate) agents: String,
    pub(crate) http: String,
    pub(crate) program: Program,
}

impl Collector {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", "127.0.0.1:0", flags)
    }

    pub(crate) fn start_at(agents: &str, http: &str, flags: &[&str]) -> Self {
        Self::start_by(Command::new(built("fleetgauge-collector")), agents, http, flags)
    }

    /// Starts a collector with a command that runs the program.
    pub(crate) fn start_by(mut command: Command, agents: &str, http: &str, flags: &[&str]) -> Self {
        command.args(["--listen", agents, "--http-listen", http]).args(flags);
        let program = Program::start(command);
        let bound = |message: &str| {
            let log = program.log();
            let line = log.lines().find(|line| line.contains(message))?;
            Some(line.split_once("address=")?.1.trim().to_owned())
        };
        let (agents, http) = wait_for("a collector that listens", 10, || {
            Some((bound("listening for agents")?, bound("serving HTTP")?))
        });
        Self { agents, http, program }
    }

    pub(crate) fn kill(&mut self) {
        self.program.kill();
    }

    pub(crate) fn get(&self, path: &str, accept: &str) -> String {
        super::http::get(&self.http, path, accept).unwrap()
    }
}

/// Starts a real agent that reports every second.
pub(crate) fn agent(id: &str, collector: &Collector, metrics: &str) -> Program {
    agent_with(id, collector, &["--interval", "1s", "--metrics", metrics])
}

/// Starts a real agent with these flags.
pub(crate) fn agent_with(id: &str, collector: &Collector, flags: &[&str]) -> Program {
    let mut command = Command::new(built("fleetgauge-agent"));
    command.args(["--id", id, "--collector", &collector.agents]).args(flags);
    Program::start(command)
}
