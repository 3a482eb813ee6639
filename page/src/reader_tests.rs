//! Legal pages are read, and whatever makes a scrape fail is refused, in pieces of any size.

use super::*;

/// A sample's name, labels and value.
type Owned = (String, String, f64);

/// What is read of a page that comes in pieces of this size.
fn read(page: &[u8], size: usize, format: Format) -> Vec<Result<Owned, Unreadable>> {
    let (mut reader, mut seen) = (Reader::new(format), Vec::new());
    let mut see = |read: Read<'_>| match read {
        Ok(Item::Sample(s)) => {
            seen.push(Ok((s.name.to_owned(), s.labels.as_str().to_owned(), s.value)));
        }
        Ok(Item::Family(_)) => {}
        Err(unreadable) => seen.push(Err(unreadable)),
    };
    page.chunks(size).for_each(|piece| reader.push(piece, &mut see));
    reader.finish(&mut see);
    seen
}

fn problems_in(page: &[u8], format: Format) -> Vec<&'static str> {
    let problems = |size| -> Vec<_> {
        let problem = |read: Result<Owned, Unreadable>| Some(read.err()?.problem);
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
fn samples_are_read() {
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
    let line = line::read("a{b=\"1\",c=\"\\\"\",d=\"\"} 1", &mut Vec::new()).unwrap();
    let labels = line.sample.labels;
    assert_eq!(labels.iter().collect::<Vec<_>>(), [("b", "1"), ("c", "\\\""), ("d", "")]);
    assert_eq!((labels.get("c"), labels.get("e")), (Some("\\\""), None));
    assert_eq!(line::unescape("\\\"\\\\\\n", true).unwrap(), "\"\\\n");
}

#[test]
fn families_are_given_once_with_their_metadata() {
    let page = "# TYPE a_bytes gauge\n# UNIT a_bytes bytes\n# HELP a_bytes \\\"\na_bytes 1\n\
                a_bytes{b=\"c\"} 1\n# TYPE d unknown\n# EOF\n";
    let (mut reader, mut families) = (Reader::new(Format::OpenMetrics), Vec::new());
    let mut see = |read: Read<'_>| {
        if let Item::Family(family) = read.unwrap() {
            families.push(family.clone());
        }
    };
    reader.push(page.as_bytes(), &mut see);
    reader.finish(&mut see);
    let [unit, help] = [Some("bytes".to_owned()), Some("\"".to_owned())];
    let declared = Family { name: "a_bytes".to_owned(), kind: "gauge", unit, help };
    let bare = Family { name: "d".to_owned(), kind: "unknown", ..Family::default() };
    assert_eq!(families, [declared, bare]);
}

#[test]
fn what_makes_a_scrape_fail_is_refused() {
    for (page, problem) in [
        ("a 1\n", "is a sample of no family"),
        ("# TYPE a gauge\na 1 1700000000000\n", "has a timestamp or another blank"),
        ("# TYPE a gauge\na  1\n", "has a timestamp or another blank"),
        ("# TYPE a gauge\na\n", "has no value"),
        ("# TYPE a gauge\n\n", "has no value"),
        ("# TYPE a gauge\na{b=\"c\"}\n", "has no space before the value"),
        ("# TYPE a gauge\na{b=\"c} 1\n", "has a label value without an end"),
        ("# TYPE a gauge\na{b=\"\\t\"} 1\n", "has an unknown escape"),
        ("# TYPE a gauge\na{b=c} 1\n", "has a label value without quotes"),
        ("# TYPE a gauge\na{b} 1\n", "has a label without a value"),
        ("# TYPE a gauge\na{} 1\n", "has a label without a value"),
        ("# TYPE a gauge\na{b=\"c\",} 1\n", "has a label without a value"),
        ("# TYPE a gauge\na{b=\"c\"d=\"e\"} 1\n", "has labels without an end"),
        ("# TYPE a gauge\na{b=\"c\",b=\"c\"} 1\n", "has a label twice"),
        ("# TYPE a gauge\na{0=\"c\"} 1\n", "has an illegal label name"),
        ("# TYPE a gauge\na{b-c=\"d\"} 1\n", "has an illegal label name"),
        ("# TYPE a gauge\na one\n", "has a value that is no number"),
        ("# TYPE a gauge\na inf\n", "has a value that is no number"),
        ("# TYPE a gauge\n{} 1\n", "has an illegal metric name"),
        ("# TYPE a gauge\na 1\na 1\n", "is a series that was there before"),
        (
            "# TYPE a gauge\na{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 1\n",
            "is a series that was there before",
        ),
        ("# TYPE a gauge\nb 1\n", "is a sample of another family than the lines above"),
        ("# TYPE a gauge\na_sum 1\n", "is a sample that its family's type does not have"),
        ("# TYPE a gauge\n# TYPE a gauge\n", "is there twice, or unknown in this format"),
        ("# TYPE a gauge\n# TYPE b gauge\n# TYPE a gauge\n", "declares a name for the second time"),
        ("# TYPE a summary\n# TYPE a_sum gauge\n", "declares a name for the second time"),
        ("# TYPE a gauge\na 1\n# HELP a b\n", "comes after samples of its family"),
        ("# HELP a b\n", "follows a family without a type"),
        ("# HELP a b\na 1\na{b=\"c\"} 1\n", "is a sample of a family without a type"),
        ("# TYPE a gauge\n# EOF\n", "is an unknown comment"),
        ("# TYPE a gauge\n# UNIT a a\n", "is there twice, or unknown in this format"),
        ("# TYPE a gauge\na{le=\"1\"} 1\n", "has no le, or one that is out of place"),
        ("# TYPE a histogram\na_bucket 1\n", "has no le, or one that is out of place"),
        ("# TYPE a summary\na 1\n", "has no quantile, or one that is out of place"),
        ("# TYPE a summary\na{quantile=\"2\"} 1\n", "has a quantile that is not from 0 to 1"),
        (
            "# TYPE h histogram\nh_sum{a=\"1\"} 1\nh_sum{a=\"2\"} 1\nh_count{a=\"1\"} 1\n",
            "is torn apart from the other lines of its metric",
        ),
        ("# TYPE a gauge\na 1", "is cut off: the page does not end with a line's end"),
    ] {
        assert_eq!(problems(page), [problem], "{page:?}");
    }
    let info = "# TYPE a info\n";
    assert_eq!(problems(info)[0], "has a type that this format does not know");
}

#[test]
fn openmetrics_has_rules_of_its_own() {
    let problems = |page: &str| problems_in(page.as_bytes(), Format::OpenMetrics);
    let histogram = "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\n\
                     h_count 2\nh_sum NaN\n# TYPE c counter\nc_total 1\n# EOF\n";
    assert_eq!(problems(histogram), [] as [&str; 0]);
    for (page, problem) in [
        ("# TYPE a gauge\n", "is the last, and is not the end mark"),
        ("# EOF\n# EOF\n", "follows the end mark"),
        (
            "# TYPE a_total counter\na_total 1\n# EOF\n",
            "is a sample that its family's type does not have",
        ),
        ("# TYPE a gauge\n# UNIT a a\n# EOF\n", "has a unit that its name does not end in"),
        (
            "# TYPE a counter\n# TYPE a_created gauge\n# EOF\n",
            "declares a name for the second time",
        ),
        ("# TYPE a gauge\n# HELP a \"\n# EOF\n", "has a quote that is not escaped"),
        ("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# EOF\n", "has a bound that is not canonical"),
    ] {
        assert_eq!(problems(page), [problem], "{page:?}");
    }
    let untyped = "# TYPE a untyped\n# EOF\n";
    assert_eq!(problems(untyped)[0], "has a type that this format does not know");
}

#[test]
fn a_sample_out_of_place_is_given_all_the_same() {
    let page = b"# TYPE a gauge\nb 1\n";
    let read = read(page, usize::MAX, Format::Text);
    assert_eq!(read[0], Ok(("b".to_owned(), String::new(), 1.0)));
    assert_eq!(read[1].as_ref().unwrap_err().line, 2);
}

#[test]
fn an_empty_page_is_a_page() {
    assert_eq!(problems(""), [] as [&str; 0]);
}

#[test]
fn what_is_no_text_is_given_up() {
    let page = b"# TYPE a gauge\na 1\n\xff 2\na{b=\"3\"} 3\n";
    assert_eq!(problems_in(page, Format::Text), ["is not UTF-8, or one soon after it"]);
}

#[test]
fn a_line_without_an_end_takes_no_memory() {
    let mut reader = Reader::default();
    let mut problems = Vec::new();
    for _ in 0..10 * MAX_LINE_BYTES / 1_024 {
        reader.push(&[b'a'; 1_024], |read| problems.extend(read.err().map(|no| no.problem)));
        assert!(reader.begun.capacity() <= 4 * MAX_LINE_BYTES);
    }
    assert_eq!(problems, ["is longer than 1 MiB"]);
}

#[test]
fn series_that_differ_in_one_label_are_told_apart() {
    let mut page = "# TYPE a gauge\n".to_owned();
    for agent in 0..20_000 {
        page += &format!("a{{agent=\"sim-{agent:06}\",rack=\"{}\"}} 1\n", agent % 997);
    }
    assert_eq!(problems(&page), [] as [&str; 0]);
}
