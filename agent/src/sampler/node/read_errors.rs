//! Broken devices, files and lines: each costs only its own series.

use tracing::{info, warn};

use super::SourceError;

/// What a reading of a collector finds broken, and the log lines about it.
#[derive(Debug)]
pub(super) struct ReadErrors {
    collector: &'static str,
    /// The first error of the reading.
    first: Option<SourceError>,
    /// Whether the reading has something.
    has_read: bool,
    /// Whether the last reading found something broken.
    is_incomplete: bool,
}

impl ReadErrors {
    /// Creates the read errors of the collector with this name.
    pub(super) const fn new(collector: &'static str) -> Self {
        Self { collector, first: None, has_read: false, is_incomplete: false }
    }

    /// Returns what was read; `None` if it is broken.
    pub(super) fn check<T>(&mut self, read: Result<T, SourceError>) -> Option<T> {
        match read {
            Ok(value) => {
                self.has_read = true;
                Some(value)
            }
            // The device was removed since it was listed.
            Err(SourceError::NothingFound) => None,
            Err(error) => {
                self.add(error);
                None
            }
        }
    }

    /// Returns what was read. An error ends the reading: what was found before is forgotten.
    ///
    /// # Errors
    /// That of `read`.
    pub(super) fn require<T>(&mut self, read: Result<T, SourceError>) -> Result<T, SourceError> {
        self.has_read = read.is_ok();
        if read.is_err() {
            self.first = None;
        }
        read
    }

    /// Adds an error.
    pub(super) fn add(&mut self, error: SourceError) {
        self.first.get_or_insert(error);
    }

    /// Ends a reading. Logs the first error, once until a reading finds nothing broken.
    ///
    /// # Errors
    /// All that the host has is broken: the first error.
    pub(super) fn finish(&mut self) -> Result<(), SourceError> {
        let (source, first) = (self.collector, self.first.take());
        let has_read = std::mem::take(&mut self.has_read);
        let was_incomplete = std::mem::replace(&mut self.is_incomplete, first.is_some());
        match first {
            Some(error) if !has_read => {
                // The error is logged as that of the source.
                self.is_incomplete = false;
                return Err(error);
            }
            Some(cause) if !was_incomplete => warn!(source, %cause, "source incomplete"),
            None if was_incomplete => info!(source, "source complete"),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::Log;

    #[test]
    fn first_error_is_logged_once_until_nothing_is_broken() {
        let log = Log::default();
        let _guard = log.install();
        let mut read_errors = ReadErrors::new("nvme");
        let mut read = |devices: &[Result<u8, &str>]| {
            for device in devices {
                let checked = read_errors.check(device.map_err(SourceError::new));
                assert_eq!(checked, device.ok());
            }
            read_errors.finish()
        };
        for _ in 0..2 {
            assert_eq!(read(&[Ok(1), Err("first"), Err("second"), Ok(2)]), Ok(()));
        }
        assert_eq!(read(&[Ok(1)]), Ok(()));
        assert_eq!(read(&[]), Ok(()));
        assert_eq!(read(&[Err("third"), Ok(1)]), Ok(()));
        assert_eq!(read(&[Err("fourth")]), Err(SourceError::new("fourth")));
        assert_eq!(
            log.lines(),
            [
                "WARN source incomplete source=\"nvme\" cause=first",
                "INFO source complete source=\"nvme\"",
                "WARN source incomplete source=\"nvme\" cause=third",
            ]
        );
    }

    #[test]
    fn error_that_ends_a_reading_leaves_nothing_for_the_next() {
        let log = Log::default();
        let _guard = log.install();
        let mut read_errors = ReadErrors::new("cpu");
        read_errors.check::<()>(Err(SourceError::new("cpuinfo")));
        let stat = SourceError::new("stat");
        assert_eq!(read_errors.require::<()>(Err(stat.clone())), Err(stat));
        assert_eq!(read_errors.finish(), Ok(()));
        assert!(log.lines().is_empty(), "{:?}", log.lines());
    }

    #[test]
    fn removed_device_is_no_error() {
        let mut read_errors = ReadErrors::new("nvme");
        assert_eq!(read_errors.check::<()>(Err(SourceError::NothingFound)), None);
        assert_eq!(read_errors.finish(), Ok(()));
    }
}
