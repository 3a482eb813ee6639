use super::*;

/// Index of the table of disks.
const DISK: usize = 3;

fn texts(table: &TableSpec, agent: u32, row: Row) -> Vec<String> {
    let mut values = Vec::new();
    table.push_row(agent, row, &mut values);
    values
}

fn read(table: &TableSpec, agent: u32, values: &[String]) -> Option<Row> {
    let mut padded = [""; MAX_ROW_LABELS];
    padded.iter_mut().zip(values).for_each(|(to, from)| *to = from);
    table.row_of(agent, &padded)
}

#[test]
fn rows_ascend_and_tell_their_number_and_generation() {
    for table in TABLES.iter().filter(|table| !table.row_labels.is_empty()) {
        for generation in if table.is_own { [0, 1, 12_345] } else { [0; 3] } {
            let rows = (0..table.rows_large).map(|number| Row { number, generation });
            let rows: Vec<_> = rows.map(|row| (row, texts(table, 7, row))).collect();
            assert!(rows.is_sorted_by(|a, b| a.1 < b.1), "{rows:?}");
            for (row, values) in &rows {
                assert_eq!(read(table, 7, values), Some(*row));
            }
        }
    }
}

#[test]
fn only_rows_of_devices_differ_between_hosts() {
    let row = Row { number: 1, generation: 0 };
    for table in TABLES.iter().filter(|table| !table.row_labels.is_empty()) {
        let is_own = texts(table, 7, row) != texts(table, 8, row);
        assert_eq!(is_own, table.is_own, "{}", table.name);
        assert_eq!(read(table, 8, &texts(table, 7, row)).is_none(), table.is_own);
    }
}

#[test]
fn label_values_that_no_row_has_are_refused() {
    let filesystem = &TABLES[4];
    let row = Row { number: 2, generation: 3 };
    let good = texts(filesystem, 7, row);
    assert_eq!(read(filesystem, 7, &good), Some(row));
    for (at, wrong) in [
        (0, "/dev/mapper/vg000007n002g03"),
        (0, "/dev/mapper/vg000007n002g"),
        (0, "/dev/mapper/vg000007n002g0"),
        (0, "/dev/mapper/vg000007n002x"),
        (0, "/dev/mapper/vg000007n02"),
        (0, "/dev/mapper/vg00000Fn002g3"),
        (0, ""),
        (1, "/srv/volumes/000007-1"),
        (1, "/srv/volumes/000007-02"),
        (1, "/srv/volumes/000008-2"),
        (1, "/srv/volumes/"),
        (2, "xfs"),
    ] {
        let mut values = good.clone();
        wrong.clone_into(&mut values[at]);
        assert_eq!(read(filesystem, 7, &values), None, "{wrong}");
    }
}

#[test]
fn without_churn_all_rows_stay() {
    let churn = RowChurn::default();
    for sequence in [1, 1_000_000] {
        let row = Row { number: 1, generation: 0 };
        assert_eq!(churn.row_at(7, DISK, 1, sequence), Some(row));
        assert!(churn.sequences(7, DISK, row).unwrap().contains(&sequence));
    }
    assert_eq!(churn.sequences(7, DISK, Row { number: 1, generation: 1 }), None);
}

#[test]
fn a_row_tells_the_reports_that_have_it() {
    for rate in [1e-12, 0.001, 0.3, 0.99, 1.0] {
        let churn = RowChurn::new(rate).unwrap();
        for sequence in 1..2_000 {
            let Some(row) = churn.row_at(7, DISK, 1, sequence) else { continue };
            let (first, last) = churn.sequences(7, DISK, row).unwrap().into_inner();
            assert!((first..=last).contains(&sequence), "{rate} {sequence}");
            assert_eq!(churn.row_at(7, DISK, 1, last), Some(row));
            assert_ne!(churn.row_at(7, DISK, 1, last + 1), Some(row));
            assert!(first == 0 || churn.row_at(7, DISK, 1, first - 1) != Some(row));
        }
    }
}

#[test]
fn rows_are_replaced_at_the_rate_of_the_churn() {
    for rate in [0.01, 0.3, 1.0] {
        let churn = RowChurn::new(rate).unwrap();
        let changes = (1..=10_000).filter(|sequence| {
            churn.row_at(7, DISK, 1, *sequence) != churn.row_at(7, DISK, 1, sequence - 1)
        });
        // No change is seen between two absent generations.
        let share = changes.count() as f64 / (10_000.0 * rate);
        assert!((0.85..=1.0).contains(&share), "{rate}: {share}");
    }
    for rate in [-0.1, 1.1, f64::NAN] {
        assert_eq!(RowChurn::new(rate), None);
    }
}

#[test]
fn slowest_churn_replaces_a_row_of_a_large_fleet() {
    let churn = RowChurn::new(1e-6).unwrap();
    let row = |agent, sequence| churn.row_at(agent, DISK, 1, sequence);
    let changed = (0..10_000).filter(|agent| row(*agent, 1) != row(*agent, 1_001));
    assert!((2..30).contains(&changed.count()));
}

#[test]
fn rows_of_other_tables_stay() {
    let churn = RowChurn::new(1.0).unwrap();
    for (table, spec) in TABLES.iter().enumerate() {
        let row = |sequence| churn.row_at(7, table, 0, sequence);
        let stays = (1..100).all(|sequence| row(sequence) == row(1));
        assert_eq!(stays, !spec.is_own, "{}", spec.name);
    }
}
