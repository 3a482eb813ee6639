use super::*;

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect()
}

fn error(change: impl FnOnce(&mut RuleSet)) -> String {
    let mut rules = RuleSet::default();
    change(&mut rules);
    let bad = Rules::try_new(&rules).unwrap_err();
    format!("{}: {bad}", bad.list())
}

#[test]
fn agent_label_can_neither_be_dropped_nor_renamed() {
    for pattern in ["agent", "a*", "*", "*t", "__name__"] {
        let error = error(|rules| rules.drop_labels = vec!["x".into(), pattern.into()]);
        assert!(error.contains("which every series needs"), "{error}");
        assert!(error.starts_with(&format!("drop_labels: \"{pattern}\"")), "{error}");
    }
    let error = error(|rules| rules.rename_labels = pairs(&[("agent", "host")]));
    assert!(error.contains("label \"agent\", which every series needs"), "{error}");
}

#[test]
fn names_of_the_collector_are_reserved() {
    for name in ["agent", "client_no", "le", "quantile"] {
        let reserved = format!("the name \"{name}\" is reserved");
        let external = error(|rules| rules.external_labels = pairs(&[(name, "x")]));
        assert!(external.contains(&reserved), "{external}");
        let renamed = error(|rules| rules.rename_labels = pairs(&[("x", name)]));
        assert!(renamed.contains(&reserved), "{renamed}");
    }
    let renamed = error(|rules| rules.rename_metrics = pairs(&[("a", "fleetgauge_agent_up")]));
    assert!(renamed.contains("reserved"), "{renamed}");
}

#[test]
fn invalid_names_are_rejected() {
    for name in ["", "a b", "1a", "__x", "ü"] {
        let error_of = |change: fn(&mut RuleSet, &str)| error(|rules| change(rules, name));
        let errors = [
            error_of(|rules, name| rules.external_labels = pairs(&[(name, "x")])),
            error_of(|rules, name| rules.rename_labels = pairs(&[(name, "x")])),
            error_of(|rules, name| rules.rename_labels = pairs(&[("x", name)])),
        ];
        for error in errors {
            assert!(error.ends_with(&format!("\"{name}\" is not a valid name")), "{error}");
        }
    }
    for name in ["", "a-b", "a b"] {
        let keep = error(|rules| rules.keep_metrics = vec![name.into()]);
        assert!(keep.starts_with("keep_metrics:"), "{keep}");
        let rename = error(|rules| rules.rename_metrics = pairs(&[("a", name)]));
        assert!(rename.starts_with("rename_metrics:"), "{rename}");
    }
}

#[test]
fn two_names_cannot_become_one() {
    let labels = error(|rules| rules.rename_labels = pairs(&[("a", "c"), ("b", "c")]));
    assert!(labels.contains("two rules have the new name \"c\""), "{labels}");
    let metrics = error(|rules| rules.rename_metrics = pairs(&[("a", "c"), ("b", "c")]));
    assert!(metrics.contains("two rules have the new name \"c\""), "{metrics}");
}

#[test]
fn external_labels_have_values() {
    for value in [String::new(), "x".repeat(1025)] {
        let error = error(|rules| rules.external_labels = pairs(&[("dc", &value)]));
        assert!(error.contains("must have 1 to 1024 bytes"), "{error}");
    }
}

#[test]
fn lists_are_bounded() {
    let many = |count: usize| (0..count).map(|n| format!("n{n}"));
    let renames =
        |count| many(count).map(|name| (name.clone(), name + "x")).collect::<BTreeMap<_, _>>();
    let errors = [
        error(|rules| rules.keep_metrics = many(65).collect()),
        error(|rules| rules.drop_metrics = many(65).collect()),
        error(|rules| rules.drop_labels = many(65).collect()),
        error(|rules| rules.rename_labels = renames(65)),
        error(|rules| rules.rename_metrics = renames(65)),
        error(|rules| rules.external_labels = renames(33)),
    ];
    for error in errors {
        assert!(error.contains("at most"), "{error}");
    }
    let full =
        RuleSet { rename_metrics: renames(64), rename_labels: renames(64), ..RuleSet::default() };
    assert!(Rules::try_new(&full).is_ok());
}

#[test]
fn defaults_are_those_of_an_empty_set() {
    assert_eq!(Rules::try_new(&RuleSet::default()), Ok(Rules::default()));
}
