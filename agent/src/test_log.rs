//! Captures log lines for tests.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

/// Polling interval while a test waits for a log line.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A second dispatcher that is never dropped. With a single dispatcher, tracing asks the
/// subscriber of the first thread that reaches a log call and caches the answer for all threads: a
/// thread without a subscriber would disable the call.
static SECOND_DISPATCH: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// The log lines of a thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures the lines of this thread until the guard is dropped.
    pub(crate) fn install(&self) -> DefaultGuard {
        LazyLock::force(&SECOND_DISPATCH);
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// Waits for a line that contains `part`.
    pub(crate) async fn line_with(&self, part: &str) -> String {
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| line.contains(part)) {
                return line;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without [`SECOND_DISPATCH`] this test fails only if it runs alone: the dispatchers of other
/// tests have the same effect.
#[test]
fn line_is_captured_after_another_thread_logged_it_first() {
    let log = Log::default();
    let _logging = log.install();
    let say = || tracing::info!("said");
    std::thread::spawn(say).join().unwrap();
    say();
    assert_eq!(log.lines(), ["INFO said"]);
}
