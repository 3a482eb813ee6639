//! Warnings and errors on standard error, of this process and of the collector that it runs.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::Metadata;
use tracing::callsite::Identifier;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::OptionalWriter;

/// Maximum number of lines of each message. Attackers cause hundreds, which would hide the others.
const MAX_LINES: u32 = 20;

/// Logs the first lines of each warning and error of this process to standard error. Info messages
/// are left out, because agents connect and disconnect too often.
pub fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_target(false)
        .with_writer(FirstLines::new(io::stderr))
        .log_internal_errors(false)
        .init();
}

/// Passes on the first lines of each message.
struct FirstLines<W> {
    writer: W,
    /// Number of lines so far, by the place in the code that logs them.
    lines: Mutex<HashMap<Identifier, u32>>,
}

impl<W> FirstLines<W> {
    fn new(writer: W) -> Self {
        Self { writer, lines: Mutex::default() }
    }

    /// Counts a line of a message. Returns how many there have been.
    fn count(&self, message: &Metadata<'_>) -> u32 {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let count = lines.entry(message.callsite()).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for FirstLines<W> {
    type Writer = OptionalWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OptionalWriter::some(self.writer.make_writer())
    }

    fn make_writer_for(&'a self, message: &Metadata<'_>) -> Self::Writer {
        let count = self.count(message);
        if count <= MAX_LINES {
            return OptionalWriter::some(self.writer.make_writer_for(message));
        }
        if count == MAX_LINES + 1 {
            let (file, line) = (message.file().unwrap_or("?"), message.line().unwrap_or(0));
            let mut writer = self.writer.make_writer_for(message);
            let _ = writeln!(writer, "further lines like this are left out ({file}:{line})");
        }
        OptionalWriter::none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing::warn;

    use super::*;

    #[test]
    fn further_lines_of_a_message_are_left_out() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let bytes = Arc::clone(&log);
        let writer = FirstLines::new(move || SharedWriter(Arc::clone(&bytes)));
        let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..3 * MAX_LINES {
                warn!(number, "attacked");
            }
            warn!("another message");
        });
        let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let max = MAX_LINES as usize;
        assert!(lines[..max].iter().all(|line| line.contains("attacked")), "{text}");
        assert!(lines[max].contains("further lines") && lines[max].contains("warnings.rs"));
        assert!(lines[max + 1].contains("another message"), "{text}");
        assert_eq!(lines.len(), max + 2);
    }

    #[derive(Clone)]
    struct SharedWriter(Arc<Mutex<Vec<u8>>>);

    impl Write for SharedWriter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
