//! The program in a pseudo-terminal, before a real collector with a real agent.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fleetgauge_agent::identity::{Host, IdSource};
use fleetgauge_collector::Listeners;
use fleetgauge_common::endpoint::Endpoint;
use fleetgauge_proto::AgentId;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Maximum time for the program to show or do something.
const DEADLINE: Duration = Duration::from_secs(60);

/// Size of the terminal.
const ROWS: NonZero<u16> = NonZero::new(30).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(100).unwrap();

/// A collector with the agent `web-1`, in this process.
struct Fleet {
    http: SocketAddr,
    _stop: oneshot::Sender<()>,
    runtime: Runtime,
}

impl Fleet {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let _guard = runtime.enter();
        let any = "127.0.0.1:0".parse().unwrap();
        let config = fleetgauge_collector::Config {
            listen: vec![any],
            http: any,
            ..fleetgauge_collector::Config::default()
        };
        let listeners = Listeners::bind(&config).unwrap();
        let agents = listeners.agent_addresses().unwrap()[0];
        let http = listeners.http.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(fleetgauge_collector::run(config, listeners, async {
            let _ = stopped.await;
        }));
        let config = fleetgauge_agent::config::Config {
            id: IdSource::Given(AgentId::try_new("web-1").unwrap()),
            collector: Endpoint::parse(&agents.to_string()).unwrap().into(),
            interval: Duration::from_secs(1),
            ..fleetgauge_agent::config::Config::default()
        };
        let agent = fleetgauge_agent::run::Agent::new(&config, &Host::read()).unwrap();
        // The thread ends with the tests.
        std::thread::spawn(|| {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(fleetgauge_agent::run::run(agent, std::future::pending()));
        });
        Self { http, _stop: stop, runtime }
    }

    /// Ends the collector.
    fn end(self) {
        self.runtime.shutdown_background();
    }
}

/// The program in a terminal.
struct Terminal {
    program: Child,
    keys: OwnedFd,
    line: OwnedFd,
    output: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap().into_string().unwrap();
        let line = std::fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
        let line = OwnedFd::from(line);
        let size =
            Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        let program = Command::new(env!("CARGO_BIN_EXE_fleetgauge-top"))
            .args(arguments)
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut reader = std::fs::File::from(keys.try_clone().unwrap());
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { program, keys, line, output, screen: vt100::Parser::new(ROWS, COLUMNS, 0) }
    }

    fn press(&self, keys: &str) {
        std::fs::File::from(self.keys.try_clone().unwrap()).write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen contains a text.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + DEADLINE;
        while !self.screen.screen().contents().contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            let contents = self.screen.screen().contents();
            let piece = self.output.recv_timeout(left);
            let piece = piece.unwrap_or_else(|_| panic!("{text} is not shown: {contents}"));
            self.screen.process(&piece);
        }
    }

    /// Waits until the program has exited, and checks that the terminal is as before.
    fn wait_for_exit(&mut self) {
        let until = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.program.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "the program does not exit");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}");
        while self.screen.screen().alternate_screen() || self.screen.screen().hide_cursor() {
            self.screen.process(&self.output.recv_timeout(DEADLINE).unwrap());
        }
        let modes = tcgetattr(&self.line).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "{modes:?}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only if the test has failed.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn operator_finds_a_host_and_quits() {
    let fleet = Fleet::start();
    let mut terminal = Terminal::start(&["--url", &format!("http://{}", fleet.http)]);
    terminal.wait_for("1 up");
    terminal.press("/WEB\r");
    terminal.wait_for("1 found");
    terminal.press("\r");
    terminal.wait_for("one every 1 s");
    terminal.press("/node_load1 \r");
    terminal.wait_for("1 series");
    terminal.press("qqq");
    terminal.wait_for_exit();
    fleet.end();
}

#[test]
fn collector_that_is_gone_leaves_the_old_values_and_a_reason() {
    let fleet = Fleet::start();
    let mut terminal = Terminal::start(&["--url", &format!("http://{}", fleet.http)]);
    terminal.wait_for("1 up");
    fleet.end();
    terminal.wait_for(": connection failed");
    terminal.wait_for("1 up");
    terminal.wait_for("stale for");
    terminal.press("q");
    terminal.wait_for_exit();
}

#[test]
fn every_signal_to_stop_restores_the_terminal() {
    let fleet = Fleet::start();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut terminal = Terminal::start(&["--url", &format!("http://{}", fleet.http)]);
        terminal.wait_for("fleetgauge");
        kill_process(Pid::from_child(&terminal.program), signal).unwrap();
        terminal.wait_for_exit();
    }
    fleet.end();
}

#[test]
fn output_to_a_pipe_is_the_overview_as_text() {
    let fleet = Fleet::start();
    let url = format!("http://{}", fleet.http);
    let until = Instant::now() + DEADLINE;
    loop {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-top"));
        let printed = command.args(["--url", &url]).output().unwrap();
        let text = String::from_utf8(printed.stdout).unwrap();
        assert!(printed.status.success() && !text.contains('\u{1b}'), "{text}");
        if text.contains("1 up") && text.contains("web-1") {
            break;
        }
        assert!(Instant::now() < until, "{text}");
    }
    fleet.end();
}

#[test]
fn collector_that_does_not_answer_is_an_error_without_a_terminal() {
    // A port that nothing listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-top"));
    let printed = command.args(["--once", "--url", &url]).output().unwrap();
    let error = String::from_utf8(printed.stderr).unwrap();
    assert_eq!(printed.status.code(), Some(1));
    assert!(error.starts_with("fleetgauge-top: connection failed"), "{error}");
}
