//! Duration and success of collectors.

use fleetgauge_proto::message::Column;

use super::*;

/// Returns a controlled source that is a collector.
fn collector(name: &'static str) -> (SourceControl, SourceSpec) {
    let (control, spec) = controlled(name);
    (control, SourceSpec { is_collector: true, ..spec })
}

/// Returns the rows of the table about collectors: name and success. The table is the last one.
fn successes(sample: &Sample) -> Vec<String> {
    let rows = sample.rows.last().unwrap();
    let names = rows.iter(1).map(|mut labels| labels.next().unwrap());
    let values = &sample.values[sample.values.len() - 2 * rows.len()..];
    let row = |(name, values): (&str, &[f64])| {
        assert!(values[0] >= 0.0, "{sample:?}");
        format!("{name}={}", values[1])
    };
    names.zip(values.chunks(2)).map(row).collect()
}

/// Returns the durations of the collectors, in seconds.
fn durations(sample: &Sample) -> Vec<f64> {
    let rows = sample.rows.last().unwrap().len();
    sample.values[sample.values.len() - 2 * rows..].iter().copied().step_by(2).collect()
}

#[test]
fn table_exists_only_if_a_source_is_a_collector() {
    let tables = |is_collector| {
        let source = SourceSpec { is_collector, ..controlled("disks").1 };
        table_set([], &[source]).unwrap().catalog().tables.clone()
    };
    assert_eq!(tables(false).len(), 1);
    let [_, table] = &*tables(true) else { panic!("two tables") };
    assert_eq!(table.row_labels, ["collector"]);
    let decimals = |column: &Column<'_>| column.decimals;
    assert_eq!(table.columns.iter().map(decimals).collect::<Vec<_>>(), [6, 0]);
}

#[tokio::test]
async fn success_is_that_of_the_round() {
    let ((stat, stat_spec), (mdadm, mdadm_spec)) = (collector("stat"), collector("mdadm"));
    let (plain, plain_spec) = controlled("plain");
    let mut sampler = sampler_of(vec![stat_spec, plain_spec, mdadm_spec]);
    let ok = || Ok(vec![("row", 1.0)]);
    for (stat_answer, mdadm_answer, expected) in [
        (Err(SourceError::new("permission denied")), ok(), ["mdadm=1", "stat=0"]),
        (ok(), ok(), ["mdadm=1", "stat=1"]),
        (ok(), Err(SourceError::NothingFound), ["mdadm=0", "stat=1"]),
    ] {
        stat.answer.send(stat_answer).unwrap();
        mdadm.answer.send(mdadm_answer).unwrap();
        plain.answer.send(ok()).unwrap();
        assert_eq!(successes(&sampler.sample(LONG, &Limits::default()).await), expected);
    }
}

#[tokio::test]
async fn hung_collector_has_no_success_and_its_duration_so_far() {
    let ((stat, stat_spec), (_nfs, nfs_spec)) = (collector("stat"), collector("nfs"));
    let mut sampler = sampler_of(vec![nfs_spec, stat_spec]);
    let mut last = 0.0;
    for _ in 0..3 {
        answer(&stat, ("row", 1.0));
        let start = Instant::now();
        let sample = sampler.sample_without(&[0]);
        assert_eq!(successes(&sample), ["nfs=0", "stat=1"]);
        let duration = durations(&sample)[0];
        assert!(duration > last, "{duration} > {last}");
        assert!(durations(&sample)[1] <= start.elapsed().as_secs_f64());
        last = duration;
        // Durations have microseconds.
        std::thread::sleep(Duration::from_micros(10));
    }
}

#[tokio::test]
async fn collector_that_was_not_read_has_no_success() {
    let ((nfs, nfs_spec), (_stat, stat_spec)) = (collector("nfs"), collector("stat"));
    let mut sampler = sampler_of(vec![nfs_spec, stat_spec]);
    sampler.start_round();
    nfs.started.recv().unwrap();
    let sample = sampler.finish_round(&Limits::default());
    assert_eq!(successes(&sample), ["nfs=0", "stat=0"]);
    assert_eq!(durations(&sample)[1], 0.0);
}

#[test]
fn durations_are_rounded_to_microseconds() {
    let (_control, spec) = collector("stat");
    let mut status = SourceStatus::new(std::slice::from_ref(&spec));
    let mut state = TableState::new(table_set([], &[spec]).unwrap());
    for (nanos, expected) in [(1_234_499, 0.001_234), (1_234_500, 0.001_235), (0, 0.0)] {
        status.set(0, Duration::from_nanos(nanos), true);
        state.set(1, status.output().unwrap());
        assert_eq!(durations(&state.sample(&Limits::default())), [expected]);
    }
}
