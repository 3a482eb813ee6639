//! Sources that a test controls.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::Family;
use fleetgauge_proto::report::is_absent;

use super::crew::PATIENCE;
use super::{Sampler, Source, SourceError, SourceFactory, SourceSpec};
use crate::tables::{ColumnSpec, FoundFamily, Output, Sample, TableSpec};

/// Timeout of waiting for sources.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Rows of one reading: label values and the value. `found/NAME` is a sample of a found family.
pub(crate) type Rows = Vec<(&'static str, f64)>;
pub(crate) type ReadResult = Result<Rows, SourceError>;

/// Controls a source: receives the start of each read, sends its answer.
pub(crate) struct SourceControl {
    pub(crate) started: Receiver<()>,
    pub(crate) answer: Sender<ReadResult>,
}

struct ControlledSource {
    started: Sender<()>,
    answers: Receiver<ReadResult>,
}

impl Source for ControlledSource {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        self.started.send(()).unwrap();
        // The sender is dropped when the test ends.
        let rows = self.answers.recv().unwrap_or_else(|gone| Err(SourceError::new(gone)))?;
        write(rows, output)
    }
}

/// Returns a controlled source with a table of one column.
pub(crate) fn controlled(name: &'static str) -> (SourceControl, SourceSpec) {
    let (started_tx, started) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let source = Mutex::new(Some(ControlledSource { started: started_tx, answers }));
    let factory = move || Ok(Box::new(source.lock().unwrap().take().unwrap()) as Box<dyn Source>);
    (SourceControl { started, answer }, spec(name, Arc::new(factory)))
}

/// Returns a source with a table of one column.
pub(crate) fn spec(name: &'static str, factory: SourceFactory) -> SourceSpec {
    let family = Family { name, kind: FamilyKind::Gauge as u8, unit: "", help: "" };
    let tables =
        vec![TableSpec { row_labels: &["device"], columns: vec![ColumnSpec::new(family)] }];
    SourceSpec { name, tables, factory, is_collector: false }
}

/// Writes the rows of a reading.
pub(crate) fn write(rows: Rows, output: &mut Output) -> Result<(), SourceError> {
    for (device, value) in rows {
        match device.strip_prefix("found/") {
            Some(name) => {
                let family = FoundFamily { name, kind: FamilyKind::Gauge, help: "" };
                output.sample(family, &[("family", name)], value);
            }
            None => output.row(0, &[device])[0] = value,
        }
    }
    Ok(())
}

impl Sampler {
    /// Runs a round in which all sources answer but those with these indices.
    pub(crate) fn sample_without(&mut self, hung: &[usize]) -> Sample {
        self.start_round();
        self.wait_for_all_but(hung);
        self.finish_round(&fleetgauge_proto::Limits::default())
    }

    /// Waits until all sources have been started and have answered, but for those with these
    /// indices. Does not wait for the patience of the crew to end.
    pub(super) fn wait_for_all_but(&self, hung: &[usize]) {
        let start = Instant::now();
        while !self.crew.all_finished_but(hung) {
            assert!(start.elapsed() < TEST_TIMEOUT);
            let later = Instant::now() + PATIENCE;
            self.crew.supervise(later, later);
            std::thread::yield_now();
        }
    }
}

/// Returns the rows and values of each table: `sda=1`, or `sda` if the value is absent.
pub(crate) fn shown(sample: &Sample) -> Vec<String> {
    let mut values = sample.values.iter();
    let row = |device: &str, value: f64| {
        if is_absent(value) { device.to_owned() } else { format!("{device}={value}") }
    };
    let tables = sample.rows.iter().map(|rows| {
        let devices = rows.iter(1).map(|mut labels| labels.next().unwrap());
        devices.map(|device| row(device, *values.next().unwrap())).collect::<Vec<_>>().join(" ")
    });
    let tables = tables.collect();
    assert!(values.next().is_none(), "{sample:?}");
    tables
}
