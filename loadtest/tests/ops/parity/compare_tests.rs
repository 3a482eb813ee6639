use super::*;
use crate::families::samples::read;
use fleetgauge_page::Format;

/// Returns the differences between two pages of the reference and a page of the agent.
fn compare(reference: [&str; 2], agent: &str) -> Vec<String> {
    let read = |lines: &str| read(&format!("# TYPE a gauge\n{lines}"), Format::Text);
    let round = Round { reference: reference.map(read).to_vec(), agent: read(agent) };
    let found = Differences::of(&round).0.into_iter();
    found.map(|((kind, series), details)| format!("{kind} {series}: {details}")).collect()
}

#[test]
fn values_between_those_of_the_reference_are_no_difference() {
    for value in [1.0, 1.5, 2.0] {
        assert!(compare(["a 1\n", "a 2\n"], &format!("a {value}\n")).is_empty(), "{value}");
    }
    assert_eq!(compare(["a 1\n", "a 2\n"], "a 2.1\n"), ["value a: 2.1 instead of 1 to 2"]);
    assert_eq!(compare(["a 2\n", "a 2\n"], "a 1.9\n"), ["value a: 1.9 instead of 2 to 2"]);
    assert!(compare(["a NaN\n", "a NaN\n"], "a NaN\n").is_empty());
    assert_eq!(compare(["a NaN\n", "a NaN\n"], "a 0\n").len(), 1);
}

#[test]
fn missing_and_extra_series_are_differences() {
    let (one, two) = ("a{x=\"1\"} 1\n", "a{x=\"2\"} 1\n");
    let different = ["missing a{x=\"1\"}: reference 1", "extra a{x=\"2\"}: agent 1"];
    assert_eq!(compare([one, one], two), different);
    assert_eq!(compare([one, one], ""), different[..1]);
}

#[test]
fn series_that_appear_meanwhile_may_be_missing_or_shown() {
    let (one, both) = ("a{x=\"1\"} 1\n", "a{x=\"1\"} 1\na{x=\"2\"} 1\n");
    assert!(compare([one, both], one).is_empty());
    assert!(compare([one, both], both).is_empty());
}

#[test]
fn more_labels_are_a_difference() {
    let (one, more) = ("a{x=\"1\"} 1\n", "a{x=\"1\",y=\"2\"} 1\n");
    assert_eq!(compare([one, one], more), ["labels a{x=\"1\"}: a{x=\"1\",y=\"2\"}"]);
    let fewer = ["missing a{x=\"1\",y=\"2\"}: reference 1", "extra a{x=\"1\"}: agent 1"];
    assert_eq!(compare([more, more], one), fewer);
}

#[test]
fn another_type_is_a_difference() {
    let reference = read("# TYPE a counter\na 1\n", Format::Text);
    let agent = read("# TYPE a gauge\na 1\n", Format::Text);
    let found = Differences::of(&Round { reference: vec![reference], agent }).0;
    assert_eq!(found[&(Kind::Type, "a".to_owned())], "gauge instead of counter");
}
