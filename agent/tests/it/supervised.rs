//! sd_notify messages and the watchdog.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::collector::Collector;
use crate::process::{Agent, TEST_TIMEOUT};

/// Watchdog timeout.
const WATCHDOG: Duration = Duration::from_secs(2);

/// A fake service manager.
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

    /// Returns the next message; `None` after `time` without one.
    fn receive_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut message = [0; 1024];
        loop {
            return match self.socket.recv(&mut message) {
                Ok(length) => Some(String::from_utf8(message[..length].to_vec()).unwrap()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                // Interrupted by a signal, or because the machine was suspended.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("{error}"),
            };
        }
    }

    /// Waits for a message that starts with `start`.
    fn receive(&self, start: &str) -> String {
        let begun = Instant::now();
        loop {
            let left = TEST_TIMEOUT.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
            let message = self.receive_within(left);
            let message = message.unwrap_or_else(|| panic!("no message {start}"));
            if message.starts_with(start) {
                return message;
            }
        }
    }
}

#[test]
fn ready_status_and_stopping_are_sent() {
    let (manager, collector) = (Manager::new(), Collector::bind());
    let address = collector.address();
    let mut agent =
        Agent::spawn(Agent::command("told", &address).envs(manager.environment()), Stdio::null());
    // The agent is ready before the collector answers.
    manager.receive("READY=1");
    let peer = collector.welcome(1_000);
    manager.receive(&format!("STATUS=reporting to {address}"));
    drop(peer);
    let lost = manager.receive("STATUS=connection to");
    assert!(lost.contains("closed the connection"), "{lost}");
    agent.terminate();
    manager.receive("STOPPING=1");
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn hung_agent_sends_no_watchdog_pings() {
    let (manager, collector) = (Manager::new(), Collector::bind());
    let (mut log, mut writer) = std::io::pipe().unwrap();
    let stderr = Stdio::from(writer.try_clone().unwrap());
    let _agent = Agent::spawn(
        Agent::command("stuck", &collector.address()).envs(manager.environment()),
        stderr,
    );
    let peer = collector.welcome(1_000);
    for _ in 0..3 {
        manager.receive("WATCHDOG=1");
    }
    // Fill the pipe of the log, so that logging the lost connection blocks.
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(b"\n").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    drop(peer);
    manager.receive("STATUS=connection to");
    assert_eq!(manager.receive_within(WATCHDOG), None, "the agent does not hang");
    // Read the log: the agent continues, so it hung only because of the log.
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while log.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    manager.receive("WATCHDOG=1");
}
