use super::super::super::rules::RuleSet;
use super::*;

const PAGE: &str = "# HELP a Some \\ text.\n# TYPE a gauge\na 2\n\
    # HELP a_b_total Requests.\n# TYPE a_b_total counter\n\
    a_b_total{remote_name=\"x } \\\"y\\\"\",status=\"2xx\"} 7\n\
    # TYPE t_seconds histogram\nt_seconds_sum 1.5\nt_seconds_count 3\n\
    t_seconds_bucket{le=\"0.5\"} 1\nt_seconds_bucket{le=\"+Inf\"} 3\n";

/// Returns `name{labels} value` of each series, without `job` and `instance`, which each has.
fn lines(rules: &RuleSet) -> Vec<String> {
    let rules = Rules::try_new(rules).unwrap();
    let snapshot = Snapshot::of(PAGE, &rules, "c-1:1234");
    let lines = snapshot.series.iter().map(|(labels, (value, _))| {
        assert!(labels.is_sorted());
        let value_of = |name: &str| {
            let label = labels.iter().find(|(own, _)| **own == *name);
            label.map(|(_, value)| &**value).unwrap_or_default()
        };
        assert_eq!((value_of("job"), value_of("instance")), (JOB, "c-1:1234"));
        let others =
            labels.iter().filter(|(name, _)| !["job", "instance", NAME].contains(&&**name));
        let others: Vec<_> = others.map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}{{{}}} {value}", value_of(NAME), others.join(","))
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_sample_of_the_page_and_up_have_the_labels_of_the_collector() {
    let expected = [
        "a_b_total{remote_name=x } \"y\",status=2xx} 7",
        "a{} 2",
        "t_seconds_bucket{le=+Inf} 3",
        "t_seconds_bucket{le=0.5} 1",
        "t_seconds_count{} 3",
        "t_seconds_sum{} 1.5",
        "up{} 1",
    ];
    assert_eq!(lines(&RuleSet::default()), expected);
}

#[test]
fn metrics_are_kept_dropped_and_renamed() {
    let rules = RuleSet {
        keep_metrics: texts(&["a*", "t_seconds*"]),
        drop_metrics: texts(&["*_bucket"]),
        // The new name of the second one is in use.
        rename_metrics: pairs(&[("a", "c"), ("t_seconds_sum", "t_seconds_count")]),
        ..RuleSet::default()
    };
    let expected = [
        "a_b_total{remote_name=x } \"y\",status=2xx} 7",
        "c{} 2",
        "t_seconds_count{} 3",
        "t_seconds_sum{} 1.5",
    ];
    assert_eq!(lines(&rules), expected);
}

#[test]
fn no_rule_removes_or_replaces_the_labels_that_identify_the_collector() {
    let rules = RuleSet {
        external_labels: pairs(&[
            ("cluster", "eu"),
            ("instance", "other"),
            ("job", "other"),
            ("status", "9xx"),
        ]),
        drop_labels: texts(&["job", "instance", "le"]),
        rename_labels: pairs(&[("remote_name", "instance"), ("status", "code")]),
        ..RuleSet::default()
    };
    let expected = [
        "a_b_total{cluster=eu,code=2xx,remote_name=x } \"y\",status=9xx} 7",
        "a{cluster=eu,status=9xx} 2",
        "t_seconds_bucket{cluster=eu,le=+Inf,status=9xx} 3",
        "t_seconds_bucket{cluster=eu,le=0.5,status=9xx} 1",
        "t_seconds_count{cluster=eu,status=9xx} 3",
        "t_seconds_sum{cluster=eu,status=9xx} 1.5",
        "up{cluster=eu,status=9xx} 1",
    ];
    assert_eq!(lines(&rules), expected);
}

#[test]
fn families_have_type_and_help() {
    let Page { families, samples } = Page::parse(PAGE);
    let families: Vec<_> =
        families.iter().map(|own| (&*own.name, own.kind.unwrap(), &*own.help)).collect();
    let expected = [
        ("a", FamilyKind::Gauge, "Some \\ text."),
        ("a_b_total", FamilyKind::CounterAsNamed, "Requests."),
        ("t_seconds", FamilyKind::Histogram, ""),
    ];
    assert_eq!(families, expected);
    let family_of: Vec<_> = samples.iter().filter_map(|sample| sample.family).collect();
    assert_eq!(family_of, [0, 1, 2, 2, 2, 2]);
}

#[test]
fn series_that_become_equal_are_forwarded_once() {
    let rules = RuleSet { drop_labels: texts(&["status"]), ..RuleSet::default() };
    let rules = Rules::try_new(&rules).unwrap();
    let page = "a_total{status=\"1\"} 1\na_total{status=\"2\"} 2\n";
    assert_eq!(Snapshot::of(page, &rules, "c").series.len(), 2);
}
