use fleetgauge_proto::message::Table;
use fleetgauge_proto::report::ABSENT;

use super::*;
use crate::remote_write::encode::tests::fixture::{Agent, catalog, column, family, gauges};

#[test]
fn series_is_present_if_all_its_values_are() {
    let families = [family("wait", 3), family("load", 1)];
    let columns = vec![column(0, 3, &[]), column(1, 1, &[])];
    let tables = vec![Table { row_labels: vec!["x"], columns }];
    let rows = [(0, 0, vec!["1", "2", "3"])];
    let row = |absent: Option<usize>| {
        (0..6).map(move |n| if Some(n) == absent { ABSENT } else { n as f64 })
    };
    let values: Vec<_> = row(None).chain(row(Some(4))).chain(row(Some(5))).collect();
    let agent = Agent::new(&[], &[catalog(0, &families, tables)], &rows, &values);
    let set = agent.present();
    let present: Vec<_> = (0..100).filter(|cell| set.contains(*cell)).collect();
    // The last one is `fleetgauge_agent_up`.
    assert_eq!(present, [0, 5, 11, 12, 18]);
    assert_eq!(set.len(), present.len());
}

#[test]
fn difference_is_none_if_it_is_empty() {
    let names: Vec<&'static str> = (0..130).map(|n| &*format!("m{n}").leak()).collect();
    let agent = Agent::new(&[], &[gauges(0, &names)], &[], &[1.0]);
    let all = agent.present();
    assert_eq!(all.len(), 131);
    assert_eq!(all.minus(&all), None);
    let mut values = agent.values.clone();
    values[0] = ABSENT;
    values[129] = ABSENT;
    let less = CellSet::of(agent.layout(), &values);
    assert_eq!(less.minus(&all), None);
    let difference = all.minus(&less).unwrap();
    assert_eq!(difference.len(), 2);
    assert!(difference.contains(0) && difference.contains(129));
    assert_eq!(all.minus(&CellSet::default()), Some(all.clone()));
}
