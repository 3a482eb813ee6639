//! What a service manager hears of the agent, and that it would notice a hang.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::collector::Collector;
use crate::process::{Agent, PATIENCE};

/// Two of these without a sign of life, and the agent would be started again.
const WATCHDOG: Duration = Duration::from_secs(2);

/// Hears what a program says of itself.
struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self { socket, directory }
    }

    fn environment(&self) -> [(&'static str, String); 2] {
        let path = self.directory.path().join("notify").display().to_string();
        [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())]
    }

    /// The next message; `None` if none comes for so long.
    fn hears_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut message = [0; 1024];
        loop {
            return match self.socket.recv(&mut message) {
                Ok(length) => Some(String::from_utf8(message[..length].to_vec()).unwrap()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                // By a signal, or the machine was stopped for a moment.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("{error}"),
            };
        }
    }

    /// Waits for a message that begins so.
    fn hears(&self, start: &str) -> String {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
            let message = self.hears_within(left);
            let message = message.unwrap_or_else(|| panic!("it never said {start}"));
            if message.starts_with(start) {
                return message;
            }
        }
    }
}

#[test]
fn it_says_whom_it_reports_to_and_that_it_stops() {
    let (manager, collector) = (Manager::new(), Collector::bind());
    let address = collector.address();
    let mut agent =
        Agent::spawn(Agent::command("told", &address).envs(manager.environment()), Stdio::null());
    // It has started though nobody has answered yet.
    manager.hears("READY=1");
    let peer = collector.welcome(1_000);
    manager.hears(&format!("STATUS=reporting to {address}"));
    drop(peer);
    let lost = manager.hears("STATUS=connection to");
    assert!(lost.contains("closed the connection"), "{lost}");
    agent.terminate();
    manager.hears("STOPPING=1");
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn an_agent_that_hangs_feeds_no_watchdog() {
    let (manager, collector) = (Manager::new(), Collector::bind());
    let (mut log, mut writer) = std::io::pipe().unwrap();
    let stderr = Stdio::from(writer.try_clone().unwrap());
    let _agent = Agent::spawn(
        Agent::command("stuck", &collector.address()).envs(manager.environment()),
        stderr,
    );
    let peer = collector.welcome(1_000);
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    // Its log is full, and a connection that is lost is logged.
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(b"\n").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    drop(peer);
    manager.hears("STATUS=connection to");
    assert_eq!(manager.hears_within(WATCHDOG), None, "it does not hang");
    // It hung, and was neither dead nor silent for another reason.
    std::thread::spawn(move || {
        let mut some = [0; 4096];
        while log.read(&mut some).is_ok_and(|read| read > 0) {}
    });
    manager.hears("WATCHDOG=1");
}
