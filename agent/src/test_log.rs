//! A log in memory, for tests.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

/// Time between two looks for a line.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A second dispatcher, alive for ever. While only one exists, tracing asks the default subscriber
/// of the thread that reaches a log call first, and caches the answer for all threads: a thread
/// without a subscriber would switch that call off.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// The lines that a thread has logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes this thread's lines until the guard is dropped.
    pub(crate) fn install(&self) -> DefaultGuard {
        LazyLock::force(&SECOND);
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

    /// Waits for a line with `part`.
    pub(crate) async fn line_with(&self, part: &str) -> String {
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| line.contains(part)) {
                return line;
            }
            tokio::time::sleep(LOOK_EVERY).await;
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

/// Fails without the second dispatcher if it runs alone: other tests' logs are dispatchers, too.
#[test]
fn a_line_that_another_thread_logs_first_is_kept() {
    let log = Log::default();
    let _logging = log.install();
    let say = || tracing::info!("said");
    std::thread::spawn(say).join().unwrap();
    say();
    assert_eq!(log.lines(), ["INFO said"]);
}
