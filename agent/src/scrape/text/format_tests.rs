use super::Format::{OpenMetrics, Prometheus};
use super::recorder::read;

/// Checks what each line of the format 0.0.4 yields: an event or a problem.
fn check(table: &[(&str, Result<&str, &str>)]) {
    for (line, expected) in table {
        let events = read(format!("{line}\n"), Prometheus).map(|events| events.join("|"));
        assert_eq!(events.as_deref(), expected.map_err(str::to_owned).as_deref(), "{line:?}");
        let unfinished = read(line, Prometheus).map(|events| events.join("|"));
        assert_eq!(unfinished, events, "without a line feed: {line:?}");
    }
}

/// Checks what each line of an OpenMetrics page yields.
fn check_openmetrics(table: &[(&str, Result<&str, &str>)]) {
    for (line, expected) in table {
        let events = read(format!("{line}\n# EOF\n"), OpenMetrics).map(|events| events.join("|"));
        assert_eq!(events.as_deref(), expected.map_err(str::to_owned).as_deref(), "{line:?}");
    }
}

#[test]
fn samples_have_name_labels_value_and_timestamp() {
    check(&[
        ("a 1", Ok("a 1.0")),
        ("a:b_c9 -1.5e3", Ok("a:b_c9 -1500.0")),
        ("_a\t+Inf", Ok("_a inf")),
        ("a{} 1", Ok("a 1.0")),
        (r#"a{b="c"} NaN"#, Ok(r#"a{b="c"} NaN"#)),
        (r#"a{b="c",} 1"#, Ok(r#"a{b="c"} 1.0"#)),
        (r#"a{b="",c="}"} 1"#, Ok(r#"a{b="",c="}"} 1.0"#)),
        (r#"a{b="größe ☃"} 1"#, Ok(r#"a{b="größe ☃"} 1.0"#)),
        ("a 33  \t123123", Ok("a 33.0 @123123")),
        ("a 1 -5", Ok("a 1.0 @-5")),
        (r#"a{b="c"} 1 9223372036854775807"#, Ok(r#"a{b="c"} 1.0 @9223372036854775807"#)),
    ]);
}

#[test]
fn blanks_and_missing_separators_of_the_format_004_are_accepted() {
    check(&[
        ("", Ok("")),
        (" \t ", Ok("")),
        (" a 1", Ok("a 1.0")),
        ("a  1 \t", Ok("a 1.0")),
        ("a 1  5 ", Ok("a 1.0 @5")),
        (r#"a { b = "c" , d = "e" , } 1"#, Ok(r#"a{b="c",d="e"} 1.0"#)),
        (r#"a{b="c" d="e"} 1"#, Ok(r#"a{b="c",d="e"} 1.0"#)),
        (r#"a{b="c"d="e"}1"#, Ok(r#"a{b="c",d="e"} 1.0"#)),
        ("a-1", Ok("a -1.0")),
    ]);
}

#[test]
fn escapes_are_replaced() {
    check(&[
        (r#"a{b="\\\"\n"} 1"#, Ok(r#"a{b="\\\"\n"} 1.0"#)),
        (r#"a{b="\\n"} 1"#, Ok(r#"a{b="\\n"} 1.0"#)),
        (r#"a{b="\x\é"} 1"#, Ok(r#"a{b="\\x\\é"} 1.0"#)),
        (r#"a{b="c\"} 1"#, Err("has a quote that is not closed")),
        (r"# HELP a \\ \n \x", Ok("help a=\\ \n \\x")),
        (r#"# HELP a "\"""#, Ok(r#"help a="\"""#)),
    ]);
    check_openmetrics(&[(r#"# HELP a "\"\n\\\x"#, Ok("help a=\"\"\n\\\\x"))]);
}

#[test]
fn malformed_samples_are_rejected() {
    let illegal_label = "has an illegal label name";
    let bad_value = "has a value that is not a number";
    check(&[
        ("a", Err("has no value")),
        ("a{b=\"c\"}", Err("has no value")),
        ("9 1", Err("does not start with a metric name")),
        ("é 1", Err("does not start with a metric name")),
        ("a.b 1", Err(bad_value)),
        ("a{ 1", Err(illegal_label)),
        ("a{", Err("has a brace that is not closed")),
        (r#"a{b="c" 1"#, Err(illegal_label)),
        (r#"a{b="c"#, Err("has a quote that is not closed")),
        (r#"a{b="c",,d="e"} 1"#, Err(illegal_label)),
        (r#"a{,b="c"} 1"#, Err(illegal_label)),
        (r#"a{="c"} 1"#, Err(illegal_label)),
        (r#"a{b:c="d"} 1"#, Err("has a label without a value")),
        ("a{b='c'} 1", Err("has a label value without quotes")),
        ("a{b} 1", Err("has a label without a value")),
        (r#"a{b="c"}{d="e"} 1"#, Err(bad_value)),
        (r#"a{b="c",b="d"} 1"#, Err("has a label twice")),
        (r#"a{b="c","b"="c"} 1"#, Err("has a label twice")),
        (r#"a{__name__="b"} 1"#, Err("has the reserved label __name__")),
        ("a true", Err(bad_value)),
        ("a 1_000", Err(bad_value)),
        ("a 0x1p3", Err(bad_value)),
        ("a 1e400", Err(bad_value)),
        ("a 1e99999999999999999999999999", Err(bad_value)),
        ("a 1 NaN", Err("has an invalid timestamp")),
        ("a 1 1.5", Err("has an invalid timestamp")),
        ("a 1 9223372036854775808", Err("has an invalid timestamp")),
        ("a 1 2 3", Err("has text after the timestamp")),
        ("a 1 # {b=\"c\"} 1", Err("has an invalid timestamp")),
    ]);
}

#[test]
fn quoted_names_are_accepted() {
    check(&[
        (r#"{"a.b"} 1"#, Ok("a.b 1.0")),
        (r#"{"größe",c="d",} 1"#, Ok(r#"größe{c="d"} 1.0"#)),
        (r#"{c="d", "a \"b\"" , "e f"="g"} 1"#, Ok(r#"a "b"{c="d",e f="g"} 1.0"#)),
        (r#"# TYPE "a.b" gauge"#, Ok("type a.b=Gauge")),
        (r#"# HELP "a\nb" c"#, Ok("help a\nb=c")),
        ("{} 1", Err("has no metric name")),
        (r#"{b="c"} 1"#, Err("has no metric name")),
        (r#"{""} 1"#, Err("has an empty metric name")),
        (r#"{"a",""="c"} 1"#, Err("has an empty label name")),
        (r#"{"a","b"} 1"#, Err("has two metric names")),
        (r#"a{"b"} 1"#, Err("has two metric names")),
        (r#"{"a" b="c"} 1"#, Err("has a label without a value")),
    ]);
}

#[test]
fn metadata_of_the_format_004_is_parsed() {
    check(&[
        ("# HELP a Some text.", Ok("help a=Some text.")),
        ("# HELP a  two  spaces ", Ok("help a= two  spaces ")),
        ("# HELP a", Ok("help a=")),
        ("# HELP a \t", Ok("help a=")),
        (" #\t TYPE\t a counter", Ok("type a=Counter")),
        ("# TYPE a untyped", Ok("type a=Unknown")),
        ("# TYPE a summary", Ok("type a=Summary")),
        ("# TYPE a histogram", Ok("type a=Histogram")),
        ("#", Ok("")),
        ("# HELP", Ok("")),
        ("#HELP a b", Ok("")),
        ("# Hello", Ok("")),
        ("# HELPER a b", Ok("")),
        ("# UNIT a_s s", Ok("")),
        ("# EOF", Ok("")),
        ("# TYPE a  counter", Err("has an unknown metric type")),
        ("# TYPE a counter ", Err("has an unknown metric type")),
        ("# TYPE a info", Err("has an unknown metric type")),
        ("# TYPE a", Err("has an unknown metric type")),
        ("# TYPE ", Err("has no name of a family")),
        ("# HELP 9 a", Err("has no name of a family")),
    ]);
}

#[test]
fn carriage_returns_are_rejected_where_prometheus_rejects_them() {
    let problem = "ends with a carriage return";
    check(&[
        ("a 1\r", Err(problem)),
        ("a 1 5\r", Err(problem)),
        ("# TYPE a gauge\r", Err(problem)),
        ("# comment\r", Ok("")),
        ("# HELP a b\r", Ok("help a=b\r")),
        ("\r", Err("does not start with a metric name")),
    ]);
}

#[test]
fn nul_bytes_are_accepted_only_in_texts() {
    check(&[
        ("a{b=\"c\0\"} 1", Ok(r#"a{b="c\0"} 1.0"#)),
        ("# HELP a b\0c", Ok("help a=b\0c")),
        ("# comment\0", Ok("")),
        ("\0", Err("does not start with a metric name")),
        ("a\0{b=\"c\"} 1", Err("has a value that is not a number")),
        ("a{b\0=\"c\"} 1", Err("has a label without a value")),
        ("a{b=\0\"c\"} 1", Err("has a label value without quotes")),
        ("a 1\0", Err("has a value that is not a number")),
        ("a 1 5\0", Err("has an invalid timestamp")),
    ]);
}

#[test]
fn text_that_is_not_utf8_is_rejected() {
    for line in [&b"a{b=\"\xff\"} 1\n"[..], b"a{\xff=\"b\"} 1\n", b"# HELP a \xff\n", b"\xc3"] {
        for format in [Prometheus, OpenMetrics] {
            let page = [line, b"# EOF\n"].concat();
            assert_eq!(read(page, format), Err("is not valid UTF-8".to_owned()), "{line:?}");
        }
    }
    assert_eq!(read(b"# \xff\n", Prometheus), Ok(vec![]), "a comment");
}

#[test]
fn openmetrics_kinds_units_and_timestamps_are_parsed() {
    check_openmetrics(&[
        ("# TYPE a unknown", Ok("type a=Unknown")),
        ("# TYPE a info", Ok("type a=Info")),
        ("# TYPE a stateset", Ok("type a=StateSet")),
        ("# TYPE a gaugehistogram", Ok("type a=GaugeHistogram")),
        ("# UNIT a_seconds seconds", Ok("unit a_seconds=seconds")),
        ("# UNIT a ", Ok("unit a=")),
        ("# HELP a ", Ok("help a=")),
        ("a 1 1520872607.123", Ok("a 1.0 @1520872607123")),
        ("a 1 -0.5", Ok("a 1.0 @-500")),
        (r#"a{b="c",} 1"#, Ok(r#"a{b="c"} 1.0"#)),
        ("# UNIT aseconds seconds", Err("has a unit that is no suffix")),
        ("# UNIT seconds seconds", Err("has a unit that is no suffix")),
        ("# TYPE a untyped", Err("has an unknown metric type")),
        ("a 1 NaN", Err("has an invalid timestamp")),
        ("a 1 +Inf", Err("has an invalid timestamp")),
        ("a 1 1e300", Err("has an invalid timestamp")),
        ("a 1 1_2", Err("has an invalid timestamp")),
    ]);
}

#[test]
fn exemplars_are_checked_and_skipped() {
    check_openmetrics(&[
        (r#"a_total 1 # {b="c"} 4"#, Ok("a_total 1.0")),
        (r#"a_total 1 5 # {b="\"}",d="e",} 4 6.5"#, Ok("a_total 1.0 @5000")),
        ("a_total 1 # {} 4", Ok("a_total 1.0")),
        (r#"a_total 1 # {"b c"="d"} 4"#, Ok("a_total 1.0")),
        ("a 1 # {b}", Err("has a label without a value")),
        (r#"a 1 # {"b"} 4"#, Err("has an exemplar label without a value")),
        (r#"a 1 # {b="c"}"#, Err("has an exemplar without a valid value")),
        (r#"a 1 # {b="c"} x"#, Err("has an exemplar without a valid value")),
        (r#"a 1 # {b="c"} 1 NaN"#, Err("has an invalid timestamp")),
        (r#"a 1 # {b="c"} 1 1 1"#, Err("has text after the timestamp")),
        (r#"a 1 # {b="c" 1"#, Err("has no comma or brace after a label")),
    ]);
    let page = b"a 1 # {b=\"\xff\"} 1\n# EOF\n";
    assert_eq!(read(page, OpenMetrics), Err("is not valid UTF-8".to_owned()));
}

#[test]
fn openmetrics_allows_no_other_blanks_and_comments() {
    let comment = "is a comment, which OpenMetrics does not have";
    check_openmetrics(&[
        ("", Err("is empty")),
        (" a 1", Err("does not start with a metric name")),
        ("a\t1", Err("has no value")),
        ("a  1", Err("has no value")),
        ("a 1\t2", Err("has a value that is not a number")),
        ("a 1 ", Err("has an extra space")),
        ("a 1 2 ", Err("has text after the timestamp")),
        ("a 1 2 #", Err("has text after the timestamp")),
        (r#"a {b="c"} 1"#, Err("has a value that is not a number")),
        (r#"a{b="c", d="e"} 1"#, Err("has an illegal label name")),
        (r#"a{b="c"d="e"} 1"#, Err("has no comma or brace after a label")),
        ("#", Err(comment)),
        ("# text", Err(comment)),
        ("#  TYPE a counter", Err(comment)),
        ("#\tTYPE a counter", Err(comment)),
        (" # EOF", Err("does not start with a metric name")),
        ("# TYPE a", Err("has no text after the name of the family")),
        ("# TYPE a  counter", Err("has an unknown metric type")),
        ("# HELP a.b c", Err("has no space after the name of the family")),
    ]);
}

#[test]
fn an_openmetrics_page_ends_with_eof() {
    for page in ["# EOF", "# EOF\n"] {
        assert_eq!(read(page, OpenMetrics), Ok(vec![]), "{page:?}");
    }
    for page in ["", "a 1", "a 1\n", "a{b=\"c", "# EO", "# EOF2"] {
        assert_eq!(read(page, OpenMetrics), Err("cut_off".to_owned()), "{page:?}");
    }
    for page in ["# EOF\na 1", "# EOF\n\n", "# EOF\n# EOF\n"] {
        assert_eq!(read(page, OpenMetrics), Err("follows # EOF".to_owned()), "{page:?}");
    }
}
