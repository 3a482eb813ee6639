use super::super::Format::{OpenMetrics, Prometheus};
use super::super::recorder::{Recorder, read, read_chunks};
use super::super::{Labels, MAX_LINE_BYTES, MAX_PAGE_BYTES, Metadata, Sample};
use super::*;

const PAGE: &str = "# HELP a Größe.\n# TYPE a gauge\na{b=\"c\"} 1 5\na{b=\"d\\n\"} 2\n\n b 3";

/// Sink that only counts.
#[derive(Default)]
struct Counter {
    samples: usize,
}

impl Sink for Counter {
    fn family(&mut self, _: Metadata<'_>) -> Result<(), ScrapeError> {
        Ok(())
    }

    fn sample(&mut self, _: &Sample<'_>) -> Result<(), ScrapeError> {
        self.samples += 1;
        Ok(())
    }
}

#[test]
fn chunks_do_not_change_the_result() {
    let limits = PageLimits { max_line_bytes: 20, ..PageLimits::default() };
    let openmetrics = PAGE.replace("\n\n b 3", "\n# EOF\n");
    for (page, format, limits) in [
        (PAGE, Prometheus, PageLimits::default()),
        (&openmetrics, OpenMetrics, PageLimits::default()),
        (PAGE, Prometheus, limits),
        ("a 1\nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 1\n", Prometheus, limits),
        ("a 1\nb\nc 1\n", Prometheus, limits),
        ("a 1\nb 1\nc 1\n", Prometheus, PageLimits { max_bytes: 7, ..limits }),
        ("a 1\nb 1\nc 1\n", Prometheus, PageLimits { max_samples: 2, ..limits }),
    ] {
        let whole = read_chunks(page.as_bytes(), format, limits, page.len());
        for size in 1..page.len() {
            let chunked = read_chunks(page.as_bytes(), format, limits, size);
            assert_eq!(chunked, whole, "chunks of {size} bytes");
        }
    }
}

#[test]
fn errors_have_the_number_and_start_of_the_line() {
    let mut page = b"# TYPE a gauge\n\na 1\na{b=\"\x1b[2J\xff".to_vec();
    page.resize(1000, b'x');
    let (events, result) = read_chunks(&page, Prometheus, PageLimits::default(), 64);
    assert_eq!(events, ["type a=Gauge", "a 1.0"]);
    let error = result.unwrap_err();
    assert_eq!(error.reason(), "bad_line");
    let expected =
        format!(r#"line 4 is not valid UTF-8: "a{{b=\"\u{{1b}}[2J\xff{}...""#, "x".repeat(80 - 19));
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_page_after_an_error_needs_a_restart() {
    let (mut reader, mut sink) =
        (PageReader::new(Prometheus, PageLimits::default()), Recorder::default());
    let error = reader.push(b"a 1\nb\nc 1\nd", &mut sink).unwrap_err();
    assert_eq!(reader.push(b"d 1\n", &mut sink), Err(error.clone()));
    assert_eq!(reader.finish(&mut sink), Err(error));
    assert_eq!(sink.events, ["a 1.0"]);
    sink.next_page();
    reader.restart(OpenMetrics);
    reader.push(b"e 1\n# EOF\n", &mut sink).unwrap();
    reader.finish(&mut sink).unwrap();
    assert_eq!(sink.events, ["e 1.0"]);
    assert_eq!((reader.samples(), reader.bytes()), (1, 10));
}

#[test]
fn an_error_of_the_sink_ends_the_page() {
    struct Refusing;
    impl Sink for Refusing {
        fn family(&mut self, _: Metadata<'_>) -> Result<(), ScrapeError> {
            Ok(())
        }

        fn sample(&mut self, _: &Sample<'_>) -> Result<(), ScrapeError> {
            Err(ScrapeError::Unusable("test"))
        }
    }
    let mut reader = PageReader::new(Prometheus, PageLimits::default());
    for _ in 0..2 {
        assert_eq!(reader.push(b"a 1\n", &mut Refusing), Err(ScrapeError::Unusable("test")));
    }
}

#[test]
fn an_endless_page_ends_at_its_limit() {
    let chunk = b"a{b=\"c\"} 1\n".repeat(8 * 1024);
    let limits = PageLimits { max_samples: usize::MAX, ..PageLimits::default() };
    let (mut reader, mut sink) = (PageReader::new(Prometheus, limits), Counter::default());
    let (mut sent, gigabyte) = (0, 1 << 30);
    let error = loop {
        sent += chunk.len();
        assert!(sent < gigabyte, "the page has no limit");
        if let Err(error) = reader.push(&chunk, &mut sink) {
            break error;
        }
    };
    assert_eq!(error, ScrapeError::TooLarge { max: MAX_PAGE_BYTES });
    assert_eq!(sink.samples as u64, MAX_PAGE_BYTES / 11);
    assert_eq!(reader.bytes(), MAX_PAGE_BYTES);
}

#[test]
fn an_endless_line_ends_at_its_limit() {
    for start in ["", "a{b=\"", "# HELP a ", "a 1", "# "] {
        let mut reader = PageReader::new(Prometheus, PageLimits::default());
        reader.push(start.as_bytes(), &mut Counter::default()).unwrap();
        let mut sent = start.len();
        let error = loop {
            assert!(sent <= MAX_LINE_BYTES + 1000, "the line has no limit");
            sent += 1000;
            if let Err(error) = reader.push(&[b'1'; 1000], &mut Counter::default()) {
                break error;
            }
            assert!(reader.partial.len() <= MAX_LINE_BYTES);
        };
        assert!(matches!(error, ScrapeError::BadLine { problem: "is too long", .. }), "{error}");
        assert!(reader.partial.is_empty());
    }
}

#[test]
fn a_large_chunk_of_one_line_is_not_kept() {
    let mut reader = PageReader::new(Prometheus, PageLimits::default());
    let error = reader.push(&vec![b'a'; 8 << 20], &mut Counter::default()).unwrap_err();
    assert!(matches!(error, ScrapeError::BadLine { problem: "is too long", .. }), "{error}");
    assert!(reader.partial.capacity() <= 2 * MAX_LINE_BYTES);
}

#[test]
fn many_labels_fail_the_page() {
    let labels: Vec<_> = (0..100_000).map(|n| format!("l{n}=\"\"")).collect();
    let page = format!("a{{{}}} 1\n", labels.join(","));
    assert_eq!(read(&page, Prometheus), Err("is too long".to_owned()));
    let page = format!("a{{{}}} 1\n", labels[..1000].join(","));
    assert_eq!(read(&page, Prometheus), Err("has too many labels".to_owned()));
}

#[test]
fn many_label_values_fail_the_page_at_the_limit_of_samples() {
    let page: String = (0..=100_000).map(|n| format!("a{{b=\"{n}\"}} 1\n")).collect();
    assert_eq!(read(&page, Prometheus), Err("too_many_samples".to_owned()));
    let last = page.trim_end().rfind('\n').unwrap() + 1;
    assert_eq!(read(&page[..last], Prometheus).map(|events| events.len()), Ok(100_000));
}

#[test]
fn names_and_values_have_limits() {
    let limits = PageLimits {
        max_labels: 2,
        max_label_name_bytes: 3,
        max_label_value_bytes: 4,
        max_name_bytes: 5,
        ..PageLimits::default()
    };
    let label_name = "has a label name that is too long";
    let label_value = "has a label value that is too long";
    let name = "has a metric name that is too long";
    for (line, expected) in [
        (r#"abcde{abc="abcd",b="\n\n\n\n"} 1"#, None),
        (r#"a{b="",c="",d=""} 1"#, Some("has too many labels")),
        (r#"a{abcd=""} 1"#, Some(label_name)),
        (r#"a{b="abcde"} 1"#, Some(label_value)),
        (r#"a{b="\n\n\n\n\n"} 1"#, Some(label_value)),
        ("abcdef 1", Some(name)),
        (r#"{"abcdef"} 1"#, Some(name)),
        ("# TYPE abcdef gauge", Some(name)),
    ] {
        let (_, result) = read_chunks(line.as_bytes(), Prometheus, limits, 1000);
        let problem = result.err().map(|error| match error {
            ScrapeError::BadLine { problem, .. } => problem,
            other => other.reason(),
        });
        assert_eq!(problem, expected, "{line}");
    }
}

#[test]
fn half_a_line_is_rejected_or_read_as_prometheus_does() {
    let page = "a{b=\"c\"} 12 34\n";
    for len in 1..page.len() {
        let read = read(&page[..len], Prometheus);
        assert_eq!(read.is_ok(), len >= r#"a{b="c"} 1"#.len(), "{:?}", &page[..len]);
    }
}

#[test]
fn binary_pages_are_rejected() {
    let noise: Vec<u8> =
        (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for format in [Prometheus, OpenMetrics] {
        for start in 0..200 {
            let (_, result) = read_chunks(&noise[start..], format, PageLimits::default(), 4096);
            assert!(result.is_err(), "{start}");
        }
    }
}

/// Reads pages one after the other with one sink. Returns the events of the last and how many of
/// its samples took the fast path.
fn read_pages(
    pages: &[impl AsRef<[u8]>],
    format: Format,
) -> (Result<Vec<String>, ScrapeError>, usize) {
    let (mut reader, mut sink) =
        (PageReader::new(format, PageLimits::default()), Recorder::default());
    let mut result = Ok(());
    for page in pages {
        sink.next_page();
        reader.restart(format);
        result = reader.push(page.as_ref(), &mut sink).and_then(|()| reader.finish(&mut sink));
    }
    (result.map(|()| sink.events), sink.fast)
}

#[test]
fn known_series_take_the_fast_path_with_the_same_result() {
    let openmetrics = PAGE.replace("\n\n b 3", " # {b=\"c\"} 1\n# EOF\n");
    for (page, format, samples) in [(PAGE, Prometheus, 3), (&openmetrics, OpenMetrics, 2)] {
        let (events, fast) = read_pages(&[page], format);
        assert_eq!((events.is_ok(), fast), (true, 0));
        assert_eq!(read_pages(&[page, page], format), (events, samples));
    }
}

#[test]
fn the_start_of_another_key_takes_the_slow_path() {
    for (before, page, format) in [
        ("a 1\n", "ab 2\n", Prometheus),
        ("a 1\n", "a1 5\n", Prometheus),
        ("a 1\n", "a{b=\"c\"} 2\n", Prometheus),
        ("a 1\n", "a {b=\"c\"} 2\n", Prometheus),
        ("a 1\n", "a-2\n", Prometheus),
        ("a 1\n# EOF\n", "a{b=\"c\"} 2\n# EOF\n", OpenMetrics),
        ("a 1\n# EOF\n", "a\t2\n# EOF\n", OpenMetrics),
        ("a 1\n# EOF\n", "a {b=\"c\"} 2\n# EOF\n", OpenMetrics),
        ("a 1\n", "a x\n", Prometheus),
        ("a 1\n", "a 1 \u{ff}\n", Prometheus),
    ] {
        let (events, fast) = read_pages(&[before, page], format);
        assert_eq!((events, fast), (read_pages(&[page], format).0, 0), "{page}");
    }
}

#[test]
fn an_invalid_line_of_a_known_series_fails_as_any_other() {
    for line in [&b"a x"[..], b"a 1 NaN", b"a 1 # {b=\"\xff\"} 1", b"a 1 \xff", b"a"] {
        let (before, page) = (b"a 1\n# EOF\n".to_vec(), [line, b"\n# EOF\n"].concat());
        let (slow, _) = read_pages(&[&page], OpenMetrics);
        assert!(slow.is_err());
        assert_eq!(read_pages(&[&before, &page], OpenMetrics), (slow, 0), "{line:?}");
    }
}

#[test]
fn a_key_longer_than_the_line_is_ignored() {
    struct Wrong(Counter);
    impl Sink for Wrong {
        fn family(&mut self, metadata: Metadata<'_>) -> Result<(), ScrapeError> {
            self.0.family(metadata)
        }

        fn sample(&mut self, sample: &Sample<'_>) -> Result<(), ScrapeError> {
            self.0.sample(sample)
        }

        fn known_key(&mut self, _: &[u8]) -> Option<usize> {
            Some(usize::MAX)
        }
    }
    let (mut reader, mut sink) =
        (PageReader::new(Prometheus, PageLimits::default()), Wrong(Counter::default()));
    reader.push(b"a 1\n", &mut sink).unwrap();
    assert_eq!(sink.0.samples, 1);
}

#[test]
fn keys_are_the_bytes_of_the_page() {
    struct Keys(Vec<String>);
    impl Sink for Keys {
        fn family(&mut self, _: Metadata<'_>) -> Result<(), ScrapeError> {
            Ok(())
        }

        fn sample(&mut self, sample: &Sample<'_>) -> Result<(), ScrapeError> {
            let labels: Labels<'_> = sample.labels;
            assert_eq!(labels.len(), labels.into_iter().count());
            self.0.push(String::from_utf8(sample.key.to_vec()).unwrap());
            Ok(())
        }
    }
    let (mut reader, mut sink) =
        (PageReader::new(Prometheus, PageLimits::default()), Keys(Vec::new()));
    reader.push(b" a  1 5\nb { c = \"\\n\", }\t2\n{\"d\"}1\n", &mut sink).unwrap();
    assert_eq!(sink.0, ["a", "b { c = \"\\n\", }", "{\"d\"}"]);
}
