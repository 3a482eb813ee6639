//! A test service manager: a notification socket, activated sockets, and a log that is no longer
//! read.

use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::TEST_TIMEOUT;

/// A service manager that receives the notifications of a program.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Manager {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self { socket, directory }
    }

    /// Makes the command notify this manager.
    pub(crate) fn supervise(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
    }

    /// Returns the next message; `None` if none arrives within this time.
    pub(crate) fn receive_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut message = [0; 1024];
        loop {
            return match self.socket.recv(&mut message) {
                Ok(length) => Some(String::from_utf8(message[..length].to_vec()).unwrap()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                // Interrupted by a signal, or by a short stop of the machine.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("{error}"),
            };
        }
    }

    /// Returns the next message with this line.
    pub(crate) fn expect_line(&self, line: &str) -> String {
        let begun = Instant::now();
        loop {
            let left = TEST_TIMEOUT.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
            let message = self.receive_within(left);
            let message = message.unwrap_or_else(|| panic!("missing notification {line}"));
            if message.lines().any(|own| own == line) {
                return message;
            }
        }
    }
}

/// A command whose file descriptors 3 and 4 are these sockets with these names, as passed by
/// systemd.
pub(crate) fn handing_over(
    agents: &TcpListener,
    http: &TcpListener,
    names: &str,
    arguments: &[&str],
) -> Command {
    let script = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=\"$0\"
        exec \"$@\" 3<&0 4<&1 </dev/null >/dev/null";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, names, env!("CARGO_BIN_EXE_fleetgauge-collector")]).args(arguments);
    shell.stdin(OwnedFd::from(agents.try_clone().unwrap()));
    shell.stdout(OwnedFd::from(http.try_clone().unwrap()));
    shell
}

/// Fills the log pipe, so that the next write to it blocks.
pub(crate) fn fill(log: &mut PipeWriter) {
    let flags = fcntl_getfl(&*log).unwrap();
    fcntl_setfl(&*log, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while log.write(&vec![b'\n'; size]).is_ok() {}
    }
    fcntl_setfl(&*log, flags).unwrap();
}

/// Resumes reading the log, and discards it to its end.
pub(crate) fn read_on(mut log: PipeReader) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while log.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
}
