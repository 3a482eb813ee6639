//! What the sampler logs and reports if a source is left out.

use fleetgauge_proto::catalog::FamilyKind;

use super::*;
use crate::tables::FoundFamily;

/// A source that finds families with these names.
struct Finds(Arc<Mutex<Vec<String>>>);

impl Source for Finds {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        for name in &*self.0.lock().unwrap() {
            output.sample(FoundFamily { name, kind: FamilyKind::Gauge, help: "" }, &[], 1.0);
        }
        Ok(())
    }
}

const DEVICES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

#[tokio::test]
async fn source_left_out_is_logged_once_and_has_no_success() {
    let log = Log::default();
    let _logging = log.install();
    let ((disks, disk_spec), (mounts, mount_spec)) = (controlled("disks"), controlled("mounts"));
    let collector = |spec| SourceSpec { is_collector: true, ..spec };
    let mut sampler = sampler_of(vec![collector(disk_spec), collector(mount_spec)]);
    // Two collectors have two series each.
    let limits = Limits { max_series: 15, ..Limits::default() };
    for (count, success) in [(3, 1.0), (12, 0.0), (11, 0.0), (10, 1.0), (10, 1.0)] {
        disks.answer.send(Ok(DEVICES[..count].iter().map(|name| (*name, 1.0)).collect())).unwrap();
        mounts.answer.send(Ok(vec![("/", 1.0)])).unwrap();
        let sample = sampler.sample(LONG, &limits).await;
        let rows = if success == 1.0 { count } else { 0 };
        assert_eq!((sample.rows[0].len(), sample.rows[1].len()), (rows, 1));
        let [.., disks, _, mounts] = *sample.values else { panic!("{sample:?}") };
        assert_eq!((disks, mounts), (success, 1.0));
        assert_eq!(sample.check_limits(sampler.catalogs(), &limits), Ok(()));
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for part in ["source left out", "\"disks\"", "series=12", "needed=17", "limit=15", "max_series"]
    {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    assert!(lines[1].contains("reported again") && lines[1].contains("\"disks\""), "{lines:?}");
}

#[tokio::test]
async fn families_left_out_are_logged_once_and_few_at_a_time() {
    let log = Log::default();
    let _logging = log.install();
    let names = Arc::new(Mutex::new(vec!["good".to_owned(), "line\nfeed".to_owned()]));
    let found = Arc::clone(&names);
    let factory: SourceFactory = Arc::new(move || Ok(Box::new(Finds(Arc::clone(&found)))));
    let mut sampler = sampler_of(vec![spec("exporter", factory)]);
    for _ in 0..3 {
        sampler.sample(LONG, &Limits::default()).await;
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("metric family left out"), "{lines:?}");
    assert!(lines[0].contains(r#""line\nfeed""#), "{lines:?}");

    names.lock().unwrap().extend((0..100).map(|at| format!("bad {at}")));
    for _ in 0..3 {
        sampler.sample(LONG, &Limits::default()).await;
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1 + 20 + 1, "{lines:?}");
    assert!(lines[21].contains("families=80"), "{lines:?}");
}
