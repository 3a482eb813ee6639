//! Children of this program: collectors, workers and an agent, in processes of their own, so that what they use
//! can be told apart and so that they can be killed. They end with their parent: their standard input does.

use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child as Process, ChildStderr, ChildStdin, ChildStdout, Command as Program};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::cli::AgentArgs;
use crate::fault::Fault;
#[cfg(unix)]
use crate::fault::frozen::Frozen;
use crate::orders::{Command, Event, Order};

/// How long a child may take to say that it is there: a machine may be starting many.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a child may take to end: a collector gives its agents five seconds and itself four.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Lines kept of what a worker last said on standard error.
const LAST_WORDS: usize = 5;

/// The fault that is no matter of the collector's own process.
const FROZEN: Fault = Fault::Frozen;

/// A collector in a process of its own.
pub struct Collector {
    process: Process,
    /// Where it awaits agents.
    pub agents: SocketAddr,
    /// Where it serves HTTP.
    pub http: SocketAddr,
    flags: Vec<String>,
    #[cfg(unix)]
    _frozen: Option<Frozen>,
}

impl Collector {
    /// Starts so many, on free ports, with flags of their own: with `--listen`, not on loopback.
    ///
    /// # Errors
    /// One did not start, or did not say where it is.
    pub async fn start(collectors: usize, flags: &[String]) -> anyhow::Result<Vec<Self>> {
        let mut all = flags.to_vec();
        for (flag, free) in [("--listen", "127.0.0.1:0"), ("--http", "127.0.0.1:0")] {
            if !flags.iter().any(|given| given == flag) {
                all.extend([flag, free].map(ToOwned::to_owned));
            }
        }
        let starting: Result<Vec<_>, _> = (0..collectors).map(|_| Self::spawn(&all)).collect();
        let mut started = Vec::with_capacity(collectors);
        for process in starting? {
            started.push(Self::await_addresses(process, flags.to_vec()).await?);
        }
        Ok(started)
    }

    fn spawn(flags: &[String]) -> anyhow::Result<Process> {
        let flags = flags.iter().filter(|flag| **flag != FROZEN.flag());
        Ok(program(&[], "collector")?.args(flags).stdout(Stdio::piped()).spawn()?)
    }

    async fn await_addresses(mut process: Process, flags: Vec<String>) -> anyhow::Result<Self> {
        let said = process.stdout.take().context("a child without standard output")?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(said).read_line(&mut line))
            .await
            .context("the collector did not say where it is")??;
        let mut addresses = line.split_ascii_whitespace().map(str::parse);
        match (addresses.next(), addresses.next()) {
            (Some(Ok(agents)), Some(Ok(http))) => Ok(Self {
                #[cfg(unix)]
                _frozen: Frozen::start(process.id().filter(|_| flags.contains(&FROZEN.flag()))),
                process,
                agents,
                http,
                flags,
            }),
            _ => bail!("the collector did not start; see above"),
        }
    }

    /// Its process id; `None` if it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Kills these at once, so that they say goodbye to nobody.
    ///
    /// # Errors
    /// The system's.
    pub async fn kill(collectors: &mut [Self]) -> anyhow::Result<()> {
        for collector in &mut *collectors {
            collector.process.start_kill()?;
        }
        for collector in collectors {
            collector.process.wait().await?;
        }
        Ok(())
    }

    /// Starts these again after they have ended, where they were, with more flags than before.
    ///
    /// # Errors
    /// One did not start, or did not say where it is.
    pub async fn restart(collectors: &mut [Self], more: &[String]) -> anyhow::Result<()> {
        let starting = collectors.iter_mut().map(|collector| collector.spawn_again(more));
        let starting: Vec<_> = starting.collect::<Result<_, _>>()?;
        for (collector, process) in collectors.iter_mut().zip(starting) {
            let flags = std::mem::take(&mut collector.flags);
            *collector = Self::await_addresses(process, flags).await?;
        }
        Ok(())
    }

    fn spawn_again(&mut self, more: &[String]) -> anyhow::Result<Process> {
        self.flags.extend_from_slice(more);
        let place = [("--listen", self.agents), ("--http", self.http)];
        let place = place.map(|(flag, address)| format!("{flag}={address}"));
        Self::spawn(&[&self.flags[..], &place].concat())
    }

    /// Tells it to stop.
    pub fn ask_to_stop(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Tells it to stop and waits for that.
    ///
    /// # Errors
    /// How it ended, if not well.
    pub async fn stop(mut self) -> Result<(), String> {
        self.ask_to_stop();
        match timeout(STOP_TIMEOUT, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("ended with {status}")),
            Ok(Err(error)) => Err(format!("could not be waited for: {error}")),
            Err(_) => Err(format!("did not stop within {} s", STOP_TIMEOUT.as_secs())),
        }
    }
}

/// What comes from a worker.
#[derive(Debug)]
pub enum Heard {
    /// It speaks.
    Said(Box<Event>),
    /// It is no more, and these were its last words.
    Ended(String),
}

/// A worker in a process of its own.
pub struct Worker {
    process: Process,
    input: ChildStdin,
}

impl Worker {
    /// Starts one with its order, by the program in `prefix` if there is one. What it says goes to `heard`, under
    /// this number.
    ///
    /// # Errors
    /// The system's.
    pub async fn start(
        order: &Order,
        prefix: &[String],
        number: usize,
        heard: mpsc::Sender<(usize, Heard)>,
    ) -> anyhow::Result<Self> {
        let mut program = program(prefix, "worker")?;
        let mut process = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let input = process.stdin.take().context("a child without standard input")?;
        let output = process.stdout.take().context("a child without standard output")?;
        let errors = process.stderr.take().context("a child without standard error")?;
        tokio::spawn(listen(output, errors, number, heard));
        let mut worker = Self { process, input };
        worker.write(&serde_json::to_string(order)?).await?;
        Ok(worker)
    }

    /// Gives it a command. Nothing if it has ended, which is heard of.
    pub async fn tell(&mut self, command: &Command) {
        let line = serde_json::to_string(command).unwrap_or_default();
        // The pipe of a worker that is gone is closed.
        let _ = self.write(&line).await;
    }

    async fn write(&mut self, line: &str) -> anyhow::Result<()> {
        self.input.write_all(line.as_bytes()).await?;
        self.input.write_all(b"\n").await?;
        Ok(self.input.flush().await?)
    }

    /// Its process id; `None` if it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Stops it where it is, with its sockets open.
    ///
    /// # Errors
    /// The system's, or that this is not one where it can be done.
    pub fn freeze(&self) -> anyhow::Result<()> {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            Ok(kill_process(pid.context("the worker has ended")?, Signal::STOP)?)
        }
        #[cfg(not(unix))]
        bail!("processes cannot be frozen here")
    }

    /// Kills it: its agents' sockets are closed by the system.
    ///
    /// # Errors
    /// The system's.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }
}

/// Hears a worker until it has ended.
async fn listen(
    output: ChildStdout,
    errors: ChildStderr,
    number: usize,
    heard: mpsc::Sender<(usize, Heard)>,
) {
    let last_words = tokio::spawn(last_lines(errors));
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let said = match serde_json::from_str(&line) {
            Ok(event) => Heard::Said(Box::new(event)),
            Err(error) => Heard::Ended(format!("it said {line:?}: {error}")),
        };
        if heard.send((number, said)).await.is_err() {
            return;
        }
    }
    let last_words = last_words.await.unwrap_or_default();
    let _ = heard.send((number, Heard::Ended(last_words))).await;
}

async fn last_lines(errors: ChildStderr) -> String {
    let mut last = VecDeque::new();
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if last.len() == LAST_WORDS {
            last.pop_front();
        }
        last.push_back(line);
    }
    Vec::from(last).join("\n")
}

/// Starts this host's agent.
///
/// # Errors
/// The system's.
pub fn start_agent(args: &AgentArgs) -> anyhow::Result<Process> {
    let mut command = program(&[], "agent")?;
    command.arg("--collector").arg(args.collector.to_string());
    if args.classic {
        command.arg("--classic");
    }
    Ok(command.stdout(Stdio::null()).spawn()?)
}

/// This program again, as something else, by the program in `prefix` if there is one.
fn program(prefix: &[String], what: &str) -> anyhow::Result<Program> {
    let own = std::env::current_exe()?;
    let mut command = match prefix {
        [] => Program::new(own),
        [runner, arguments @ ..] => {
            let mut command = Program::new(runner);
            command.args(arguments).arg(own);
            command
        }
    };
    command.arg(what).stdin(Stdio::piped()).kill_on_drop(true);
    // Ctrl-C is for the parent: it ends its children when it is done with them.
    #[cfg(unix)]
    command.process_group(0);
    Ok(command)
}

/// Done when standard input ends, which it does with the parent, or at SIGTERM.
pub async fn told_to_stop() {
    let (tell, told) = tokio::sync::oneshot::channel();
    // Reading blocks, and a blocked task would keep the runtime from ending.
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = tell.send(());
    });
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = told => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = told.await;
}
