use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (name.parse().unwrap(), HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

/// 1994-11-06 08:49:37 UTC.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn outcome(status: u16, pairs: &[(&'static str, &'static str)], body: &[u8]) -> Outcome {
    let status = StatusCode::from_u16(status).unwrap();
    Outcome::of_answer(status, &headers(pairs), body, now())
}

#[test]
fn every_status_has_its_outcome() {
    let excerpt = || "why".to_owned();
    for status in 100..=999 {
        let expected = match status {
            200..=299 => Outcome::Accepted,
            400 | 409 => Outcome::Rejected { status, excerpt: excerpt() },
            413 => Outcome::TooLarge,
            415 => Outcome::Unsupported { status },
            408 | 429 | 500..=599 => {
                let why = RetryReason::Status { status, excerpt: excerpt() };
                Outcome::RetryLater { after: None, why }
            }
            300..=399 => {
                let excerpt = "redirect to another path of the same host".to_owned();
                Outcome::Failed { status, excerpt }
            }
            _ => Outcome::Failed { status, excerpt: excerpt() },
        };
        assert_eq!(outcome(status, &[], b"why\n"), expected, "{status}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_of_at_most_five_minutes() {
    for (value, expected) in [
        ("0", Some(0)),
        ("7", Some(7)),
        ("300", Some(300)),
        ("301", Some(300)),
        ("99999999999999999999999", Some(300)),
        ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
        ("Sun Nov  6 08:49:47 1994", Some(10)),
        ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
        ("Fri, 01 Jan 9999 00:00:00 GMT", Some(300)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("Sun, 06 Nov 1994", None),
    ] {
        let Outcome::RetryLater { after, .. } = outcome(429, &[("retry-after", value)], b"") else {
            panic!("{value}")
        };
        assert_eq!(after, expected.map(Duration::from_secs), "{value}");
    }
}

#[test]
fn retry_after_counts_from_the_clock_of_the_engine() {
    let headers = [
        ("date", "Sun, 06 Nov 1994 10:00:00 GMT"),
        ("retry-after", "Sun, 06 Nov 1994 10:00:05 GMT"),
    ];
    let Outcome::RetryLater { after, .. } = outcome(503, &headers, b"") else { panic!() };
    assert_eq!(after, Some(Duration::from_secs(5)));
}

#[test]
fn clock_offset_is_that_of_the_date() {
    for (date, expected) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("Sun, 06 Nov 1994 07:49:37 GMT", Some(-3600)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(-784_111_777)),
        ("yesterday", None),
    ] {
        assert_eq!(clock_offset(&headers(&[("date", date)]), now()), expected, "{date}");
    }
    assert_eq!(clock_offset(&HeaderMap::new(), now()), None);
}

#[test]
fn redirect_shows_only_the_host() {
    for (location, expected) in [
        ("https://b.example:1/hunter2?hunter2", "redirect to b.example:1"),
        ("https://me:hunter2@b.example/", "redirect to b.example"),
        ("//b.example?hunter2", "redirect to b.example"),
        ("/hunter2", "redirect to another path of the same host"),
        ("hunter2", "redirect to another path of the same host"),
        ("", "redirect to another path of the same host"),
    ] {
        let excerpt = expected.to_owned();
        let expected = Outcome::Failed { status: 308, excerpt };
        assert_eq!(outcome(308, &[("location", location)], b"hunter2"), expected, "{location}");
    }
}

#[test]
fn control_characters_of_a_body_do_not_reach_the_log() {
    for (body, expected) in [
        (&b"out of order sample\n"[..], "out of order sample"),
        (b"\r\n a\r\n\tb \x1b[31mc\0", "a b [31mc"),
        ("say \"\u{e4}\" \\ 'x'".as_bytes(), "say \"\u{e4}\" \\ 'x'"),
        ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
        (b"a\xffb", "a\u{fffd}b"),
        (b"", ""),
        (b" \n ", ""),
    ] {
        assert_eq!(excerpt(body), expected);
    }
}

#[test]
fn long_body_is_cut_between_characters() {
    assert_eq!(excerpt(&[b'x'; 200]), "x".repeat(200));
    assert_eq!(excerpt(&[b'x'; 201]), "x".repeat(200) + "...");
    let text = "\u{20ac}".repeat(100);
    assert_eq!(excerpt(text.as_bytes()), "\u{20ac}".repeat(66) + "...");
    assert!(excerpt("\u{202e}".repeat(1000).as_bytes()).len() < 600);
}

#[test]
fn reasons_name_the_problem() {
    let status = |excerpt: &str| RetryReason::Status { status: 503, excerpt: excerpt.to_owned() };
    for (reason, name, text) in [
        (status(""), "status", "HTTP status 503"),
        (status("busy"), "status", "HTTP status 503: busy"),
        (RetryReason::Connect("x".to_owned()), "connect", "connection failed: x"),
        (RetryReason::Credentials("x".to_owned()), "credentials", "cannot authenticate: x"),
        (RetryReason::Timeout(Duration::from_secs(1)), "timeout", "no answer within 1000 ms"),
    ] {
        assert_eq!((reason.reason(), &*reason.to_string()), (name, text));
    }
}
