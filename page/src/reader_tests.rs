//! Valid pages are parsed, and pages that fail a scrape are rejected, in pieces of any size.

use super::*;

/// Name, labels and value of a sample.
type Owned = (String, String, f64);

/// Parses a page in pieces of this size.
fn read(page: &[u8], size: usize, format: Format) -> Vec<Result<Owned, InvalidLine>> {
    let (mut reader, mut seen) = (Reader::new(format), Vec::new());
    let mut on_read = |read: ReadResult<'_>| match read {
        Ok(Item::Sample(s)) => {
            seen.push(Ok((s.name.to_owned(), s.labels.as_str().to_owned(), s.value)));
        }
        Ok(Item::Family(_)) => {}
        Err(invalid_line) => seen.push(Err(invalid_line)),
    };
    page.chunks(size).for_each(|piece| reader.push(piece, &mut on_read));
    reader.finish(&mut on_read);
    seen
}

fn problems_in(page: &[u8], format: Format) -> Vec<&'static str> {
    let problems = |size| -> Vec<_> {
        let problem = |read: Result<Owned, InvalidLine>| Some(read.err()?.problem);
        read(page, size, format).into_iter().filter_map(problem).collect()
    };
    let whole = problems(usize::MAX);
    assert_eq!(problems(1), whole, "byte by byte");
    whole
}

fn problems(page: &str) -> Vec<&'static str> {
    problems_in(page.as_bytes(), Format::Text)
}

#[test]
fn samples_are_parsed() {
    let page = "# HELP a Some \\\\ text\\n.\n# TYPE a gauge\na{agent=\"web-1\"} 1.5\n\
                a{agent=\"web-2\",rack=\"a \\\"b\\\\\",zone=\"{,}\"} +Inf\n# TYPE b counter\n\
                b 3\n# TYPE c untyped\nc NaN\n# TYPE d gauge\n";
    for size in [1, 2, 7, usize::MAX] {
        let samples: Vec<_> =
            read(page.as_bytes(), size, Format::Text).into_iter().map(Result::unwrap).collect();
        let names: Vec<_> = samples.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a", "a", "b", "c"], "in pieces of {size}");
        assert_eq!(samples[1].1, "agent=\"web-2\",rack=\"a \\\"b\\\\\",zone=\"{,}\"");
        assert_eq!((samples[0].2, samples[1].2), (1.5, f64::INFINITY));
        assert!(samples[3].2.is_nan());
    }
}

#[test]
fn labels_are_found_by_name() {
    let line = line::read("a{b=\"1\",c=\"\\\"\",d=\"\"} 1", true, &mut Vec::new()).unwrap();
    let labels = line.sample.labels;
    assert_eq!(labels.iter().collect::<Vec<_>>(), [("b", "1"), ("c", "\\\""), ("d", "")]);
    assert_eq!((labels.get("c"), labels.get("e")), (Some("\\\""), None));
    assert_eq!(line::unescape("\\\"\\\\\\n", true).unwrap(), "\"\\\n");
}

#[test]
fn families_are_reported_once_with_their_metadata() {
    let page = "# TYPE a_bytes gauge\n# UNIT a_bytes bytes\n# HELP a_bytes \\\"\na_bytes 1\n\
                a_bytes{b=\"c\"} 1\n# TYPE d unknown\n# EOF\n";
    let (mut reader, mut families) = (Reader::new(Format::OpenMetrics), Vec::new());
    let mut on_read = |read: ReadResult<'_>| {
        if let Item::Family(family) = read.unwrap() {
            families.push(family.clone());
        }
    };
    reader.push(page.as_bytes(), &mut on_read);
    reader.finish(&mut on_read);
    let [unit, help] = [Some("bytes".to_owned()), Some("\"".to_owned())];
    let declared = Family { name: "a_bytes".to_owned(), kind: "gauge", unit, help };
    let bare = Family { name: "d".to_owned(), kind: "unknown", ..Family::default() };
    assert_eq!(families, [declared, bare]);
}

#[test]
fn pages_that_fail_a_scrape_are_rejected() {
    for (page, problem) in [
        ("a 1\n", "belongs to no family"),
        ("# TYPE a gauge\na 1 1700000000000\n", "has a timestamp or an extra space"),
        ("# TYPE a gauge\na  1\n", "has a timestamp or an extra space"),
        ("# TYPE a gauge\na\n", "has no value"),
        ("# TYPE a gauge\n\n", "has no value"),
        ("# TYPE a gauge\na{b=\"c\"}\n", "has no space before the value"),
        ("# TYPE a gauge\na{b=\"c} 1\n", "has an unterminated label value"),
        ("# TYPE a gauge\na{b=\"\\t\"} 1\n", "has an unknown escape"),
        ("# TYPE a gauge\na{b=c} 1\n", "has a label value without quotes"),
        ("# TYPE a gauge\na{b} 1\n", "has a label without a value"),
        ("# TYPE a gauge\na{} 1\n", "has a label without a value"),
        ("# TYPE a gauge\na{b=\"c\",} 1\n", "has a label without a value"),
        ("# TYPE a gauge\na{b=\"c\"d=\"e\"} 1\n", "has unterminated labels"),
        ("# TYPE a gauge\na{b=\"c\",b=\"c\"} 1\n", "has a label twice"),
        ("# TYPE a gauge\na{0=\"c\"} 1\n", "has an illegal label name"),
        ("# TYPE a gauge\na{b-c=\"d\"} 1\n", "has an illegal label name"),
        ("# TYPE a gauge\na one\n", "has a value that is not a number"),
        ("# TYPE a gauge\na inf\n", "has a value that is not a number"),
        ("# TYPE a gauge\n{} 1\n", "has an illegal metric name"),
        ("# TYPE a gauge\na 1\na 1\n", "repeats a series"),
        ("# TYPE a gauge\na{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 1\n", "repeats a series"),
        ("# TYPE a gauge\nb 1\n", "belongs to another family than the preceding lines"),
        ("# TYPE a gauge\na_sum 1\n", "has a suffix that its family's type does not allow"),
        ("# TYPE a gauge\n# TYPE a gauge\n", "repeats a TYPE or HELP of its family"),
        (
            "# TYPE a gauge\n# TYPE b gauge\n# TYPE a gauge\n",
            "declares a name that an earlier family has",
        ),
        ("# TYPE a summary\n# TYPE a_sum gauge\n", "declares a name that an earlier family has"),
        ("# TYPE a gauge\na 1\n# HELP a b\n", "comes after samples of its family"),
        ("# HELP a b\n", "ends a family without a type"),
        ("# HELP a b\na 1\na{b=\"c\"} 1\n", "is a sample of a family without a type"),
        ("# TYPE a gauge\n# EOF\n", "is an unknown comment"),
        ("# TYPE a gauge\n# UNIT a a\n", "has a keyword that this format does not define"),
        ("# TYPE a histogram\na_count{le=\"1\"} 1\n", "lacks le, or has one where none is allowed"),
        ("# TYPE a histogram\na_bucket 1\n", "lacks le, or has one where none is allowed"),
        ("# TYPE a summary\na 1\n", "lacks quantile, or has one where none is allowed"),
        ("# TYPE a summary\na{quantile=\"2\"} 1\n", "has a quantile that is not from 0 to 1"),
        (
            "# TYPE h histogram\nh_sum{a=\"1\"} 1\nh_sum{a=\"2\"} 1\nh_count{a=\"1\"} 1\n",
            "is not contiguous with its metric",
        ),
        ("# TYPE a gauge\na 1", "is truncated: the page does not end with a line feed"),
    ] {
        assert_eq!(problems(page), [problem], "{page:?}");
    }
    let info = "# TYPE a info\n";
    assert_eq!(problems(info)[0], "has a type that is unknown in this format");
}

#[test]
fn openmetrics_rules_are_enforced() {
    let problems = |page: &str| problems_in(page.as_bytes(), Format::OpenMetrics);
    let histogram = "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\n\
                     h_count 2\nh_sum NaN\n# TYPE c counter\nc_total 1\n# EOF\n";
    assert_eq!(problems(histogram), [] as [&str; 0]);
    for (page, problem) in [
        ("# TYPE a gauge\n", "is the last one, but not # EOF"),
        ("# EOF\n# EOF\n", "follows # EOF"),
        (
            "# TYPE a_total counter\na_total 1\n# EOF\n",
            "has a suffix that its family's type does not allow",
        ),
        ("# TYPE a gauge\n# UNIT a a\n# EOF\n", "has a unit that is not a suffix of its name"),
        (
            "# TYPE a counter\n# TYPE a_created gauge\n# EOF\n",
            "declares a name that an earlier family has",
        ),
        ("# TYPE a gauge\n# HELP a \"\n# EOF\n", "has a quote that is not escaped"),
        ("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# EOF\n", "has a bound that is not canonical"),
    ] {
        assert_eq!(problems(page), [problem], "{page:?}");
    }
    let untyped = "# TYPE a untyped\n# EOF\n";
    assert_eq!(problems(untyped)[0], "has a type that is unknown in this format");
}

#[test]
fn misplaced_sample_is_reported_with_its_problem() {
    let page = b"# TYPE a gauge\nb 1\n";
    let read = read(page, usize::MAX, Format::Text);
    assert_eq!(read[0], Ok(("b".to_owned(), String::new(), 1.0)));
    assert_eq!(read[1].as_ref().unwrap_err().line, 2);
}

#[test]
fn empty_page_is_valid() {
    assert_eq!(problems(""), [] as [&str; 0]);
}

#[test]
fn invalid_utf8_ends_the_page() {
    let page = b"# TYPE a gauge\na 1\n\xff 2\na{b=\"3\"} 3\n";
    assert_eq!(problems_in(page, Format::Text), ["or one of the next is not UTF-8"]);
}

#[test]
fn endless_line_takes_bounded_memory() {
    let mut reader = Reader::default();
    let mut problems = Vec::new();
    for _ in 0..10 * MAX_LINE_BYTES / 1_024 {
        reader.push(&[b'a'; 1_024], |read| problems.extend(read.err().map(|no| no.problem)));
        assert!(reader.partial_line.capacity() <= 4 * MAX_LINE_BYTES);
    }
    assert_eq!(problems, ["is longer than 1 MiB"]);
}

#[test]
fn series_that_differ_in_one_label_are_distinct() {
    let mut page = "# TYPE a gauge\n".to_owned();
    for agent in 0..20_000 {
        page += &format!("a{{agent=\"sim-{agent:06}\",rack=\"{}\"}} 1\n", agent % 997);
    }
    assert_eq!(problems(&page), [] as [&str; 0]);
}

#[test]
fn only_remembered_series_are_found_again() {
    let family = |name: &str| {
        let line = |at: u8| format!("{name}{{b=\"{at}\"}} 1\n");
        let lines: String = [0, 0, 1, 2, 3, 4, 4].map(line).concat();
        format!("# TYPE {name} gauge\n{lines}")
    };
    let repeated = |series: Option<usize>| {
        let (mut reader, mut lines) = (Reader::default(), Vec::new());
        if let Some(series) = series {
            reader = reader.remembering(series);
        }
        reader.push((family("a") + &family("c")).as_bytes(), |read| {
            lines.extend(read.err().map(|invalid| (invalid.line, invalid.problem)));
        });
        assert!(lines.iter().all(|(_, problem)| *problem == "repeats a series"), "{lines:?}");
        lines.into_iter().map(|(line, _)| line).collect::<Vec<_>>()
    };
    assert_eq!(repeated(None), [3, 8, 11, 16]);
    assert_eq!(repeated(Some(6)), [3, 8, 11, 16]);
    assert_eq!(repeated(Some(3)), [3, 11]);
    assert_eq!(repeated(Some(0)), [] as [usize; 0]);
}

#[test]
fn metrics_are_contiguous_whatever_is_remembered() {
    let page = "# TYPE a histogram\na_bucket{b=\"1\",le=\"+Inf\"} 1\n\
                a_bucket{b=\"2\",le=\"+Inf\"} 1\n\
                a_count{b=\"1\"} 1\n";
    let mut problems = Vec::new();
    Reader::default().remembering(0).push(page.as_bytes(), |read| {
        problems.extend(read.err().map(|invalid| invalid.problem));
    });
    assert_eq!(problems, ["is not contiguous with its metric"]);
}
