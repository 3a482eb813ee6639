use super::super::text::{Format, PageLimits, PageReader};
use super::*;
use crate::tables::exposition;

/// A page, its sink and the output.
struct Fixture {
    reader: PageReader,
    memory: PageMemory,
    relabel: Relabel,
    output: Output,
}

impl Fixture {
    fn new(added: &[(&str, &str)]) -> Self {
        Self {
            reader: PageReader::new(Format::Prometheus, PageLimits::default()),
            memory: PageMemory::default(),
            relabel: Relabel::new(added.iter().copied(), &["up"]),
            output: Output::default(),
        }
    }

    /// Reads a page and returns the samples: `name{labels} value`.
    fn read_as(&mut self, format: Format, page: &str) -> Vec<String> {
        self.output.begin();
        let mut sink = self.memory.begin(&self.relabel, &mut self.output);
        self.reader.restart(format);
        self.reader.push(page.as_bytes(), &mut sink).unwrap();
        self.reader.finish(&mut sink).unwrap();
        self.memory.finish();
        self.output.finish();
        exposition::lines(&[], &self.output)
    }

    fn read(&mut self, page: &str) -> Vec<String> {
        self.read_as(Format::Prometheus, page)
    }
}

/// Returns the samples of a page.
fn read(page: &str) -> Vec<String> {
    Fixture::new(&[]).read(page)
}

#[test]
fn samples_keep_their_names_and_label_texts() {
    let page = "a{le=\"0.10\",x=\"\\\\\\\"\\n\"} 1\nb 2.5e3\nb_bucket{le=\"+Inf\"} NaN\n";
    assert_eq!(
        read(page),
        ["a{le=\"0.10\",x=\"\\\\\\\"\\n\"} 1", "b 2500", "b_bucket{le=\"+Inf\"} NaN"]
    );
}

/// Returns the kinds and help texts of the families of a page.
fn families(format: Format, page: &str) -> Vec<(String, FamilyKind, String)> {
    let mut fixture = Fixture::new(&[]);
    fixture.read_as(format, page);
    let families = fixture.output.families();
    families.map(|(name, kind, help)| (name.to_owned(), kind, help.to_owned())).collect()
}

#[test]
fn samples_get_the_type_and_help_text_of_their_family() {
    use FamilyKind::{CounterAsNamed, Gauge, Unknown};
    let kinds = |format, page: &str| -> Vec<_> {
        let families = families(format, page).into_iter();
        families.map(|(name, kind, help)| format!("{name} {kind:?} {help}")).collect()
    };
    let line = |name: &str, kind: FamilyKind, help: &str| format!("{name} {kind:?} {help}");
    let page = "# HELP c Counts.\n# TYPE c counter\nc 1\n# TYPE g gauge\ng 1\n\
                # HELP h Long.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n\
                # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n\
                # TYPE u untyped\nu 1\nu_total 1\nalone 1\n";
    assert_eq!(
        kinds(Format::Prometheus, page),
        [
            line("alone", Unknown, ""),
            line("c", CounterAsNamed, "Counts."),
            line("g", Gauge, ""),
            line("h_bucket", CounterAsNamed, "Long."),
            line("h_count", CounterAsNamed, "Long."),
            line("h_sum", CounterAsNamed, "Long."),
            line("s", Gauge, ""),
            line("s_count", CounterAsNamed, ""),
            line("s_sum", CounterAsNamed, ""),
            line("u", Unknown, ""),
            line("u_total", Unknown, ""),
        ]
    );
    let page = "# TYPE c counter\n# HELP c Counts.\nc_total 1\nc_created 2\n\
                # TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"a\"} 1\n\
                # TYPE gh gaugehistogram\ngh_bucket{le=\"+Inf\"} 1\ngh_gcount 1\ngh_gsum 1\n# EOF\n";
    assert_eq!(
        kinds(Format::OpenMetrics, page),
        [
            line("c_created", Gauge, "Counts."),
            line("c_total", CounterAsNamed, "Counts."),
            line("gh_bucket", Gauge, ""),
            line("gh_gcount", Gauge, ""),
            line("gh_gsum", Gauge, ""),
            line("i_info", Gauge, ""),
            line("s", Gauge, ""),
        ]
    );
}

#[test]
fn labels_are_added_and_those_of_the_page_with_the_same_name_get_a_prefix() {
    let mut fixture = Fixture::new(&[("job", "j"), ("instance", "i"), ("dc", ""), ("a", "b")]);
    let added = "instance=\"i\",job=\"j\"";
    for (page, expected) in [
        ("x 1", format!("x{{a=\"b\",{added}}} 1")),
        ("x{job=\"own\"} 1", format!("x{{a=\"b\",exported_job=\"own\",{added}}} 1")),
        ("x{job=\"\",b=\"\"} 1", format!("x{{a=\"b\",{added}}} 1")),
        ("x{dc=\"own\"} 1", format!("x{{a=\"b\",dc=\"own\",{added}}} 1")),
        ("x{__meta=\"m\"} 1", format!("x{{a=\"b\",{added}}} 1")),
        (
            "x{agent=\"1\",client_no=\"2\"} 1",
            format!("x{{a=\"b\",exported_agent=\"1\",exported_client_no=\"2\",{added}}} 1"),
        ),
        (
            "x{job=\"1\",exported_job=\"2\"} 1",
            format!("x{{a=\"b\",exported_exported_job=\"1\",exported_job=\"2\",{added}}} 1"),
        ),
    ] {
        assert_eq!(fixture.read(&format!("{page}\n")), [expected], "{page}");
    }
}

#[test]
fn samples_that_the_protocol_cannot_carry_are_left_out_and_counted() {
    let many: String = (0..33).map(|label| format!("l{label}=\"x\",")).collect();
    let long = "x".repeat(1025);
    for (line, cause) in [
        (format!("{} 1", "n".repeat(201)), "metric name is too long"),
        ("{\"n\u{e4}me\"} 1".to_owned(), "metric name is too long or has other characters"),
        ("up 1".to_owned(), "the agent itself has"),
        (format!("m{{{many}}} 1"), "more than 32 labels"),
        (format!("m{{a=\"{long}\"}} 1"), "longer than 1024 bytes"),
        ("m{\"b c\"=\"1\"} 1".to_owned(), "a label name is too long or has other characters"),
    ] {
        let mut fixture = Fixture::new(&[]);
        for value in [5, 6] {
            let page = format!("good 1\n{line}\n{line}\nalso_good {value}\n");
            assert_eq!(fixture.read(&page), [format!("also_good {value}"), "good 1".to_owned()]);
            let left_out = fixture.memory.left_out();
            assert_eq!(left_out.samples, 2, "{line}");
            assert!(left_out.cause.contains(cause), "{} {line}", left_out.cause);
        }
    }
}

/// Whatever the page before was, a page yields what it yields alone.
#[test]
fn every_page_is_read_as_if_it_were_the_first() {
    let pages = [
        "a 1\nb{x=\"1\"} 2\nb{x=\"2\"} 3\n",
        "a 4\nb{x=\"1\"} 5\nb{x=\"2\"} 6\n",
        "a 4\nb{x=\"1\"} 5\n",
        "",
        "a 4\nb{x=\"1\"} 5\nc 7\nb{x=\"2\"} 6\n",
        "b{x=\"1\"} 5\nc 7\n",
        "ab 1\na 2\n",
        "a 1\nab 1\n",
        "# TYPE a gauge\na 1\n",
        "# TYPE a counter\na 1\n",
        "# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP a y\n# TYPE a counter\na 1\n",
        "# HELP ax \n# TYPE a counter\na 1\n",
        "a{job=\"x\"} 1\na{agent=\"y\"} 1\n",
        "a 1\na 2\na 3\n",
        "{\"b c\"} 1\na 2\n",
        "{\"b c\"} 2\na 2\na 3\n",
    ];
    let shown = |fixture: &mut Fixture, page: &str| {
        let lines = fixture.read(page);
        let families: Vec<String> =
            fixture.output.families().map(|family| format!("{family:?}")).collect();
        (lines, families, fixture.output.samples_left_out(), fixture.memory.left_out().samples)
    };
    for before in pages {
        for page in pages {
            let mut fixture = Fixture::new(&[("job", "j")]);
            fixture.read(before);
            let after = shown(&mut fixture, page);
            let alone = shown(&mut Fixture::new(&[("job", "j")]), page);
            assert_eq!(after, alone, "{before:?} then {page:?}");
            assert_eq!(shown(&mut fixture, page), alone, "{before:?} then twice {page:?}");
        }
    }
}

#[test]
fn unchanged_page_repeats_all_samples() {
    let mut fixture = Fixture::new(&[("job", "j")]);
    let page = "# HELP a Help.\n# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2\n{\"b c\"} 1\n";
    fixture.read(page);
    fixture.read(page);
    assert_eq!(fixture.output.text_bytes(), 0);
}

#[test]
fn duplicate_series_count_once() {
    let mut fixture = Fixture::new(&[]);
    assert_eq!(fixture.read("a{x=\"1\"} 1\na{x=\"1\"} 2\na{x=\"1\",y=\"\"} 3\n"), ["a{x=\"1\"} 1"]);
    assert_eq!(fixture.output.samples_left_out(), 2);
}
