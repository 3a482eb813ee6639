//! Frames that every receiver accepts: every kind in all its forms.

use fleetgauge_proto::report::ABSENT;

use super::{Accepted, family, hello, label, le, raw, schema, series};
use crate::owned::{
    Bye, Drain, Extension, Family, Hello, Owned, Ping, Pong, Reject, Report, Values, Welcome,
    WelcomeLimits,
};

/// 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
const NEW_YEAR_MS: u64 = 1_767_225_600_000;

/// Returns all test vectors that every receiver accepts.
pub(crate) fn accepted() -> Vec<Accepted> {
    let mut all = hellos();
    all.extend(welcomes());
    all.extend(schemas());
    all.extend(reports());
    all.extend(integers());
    all.extend(farewells());
    all
}

fn case(name: &'static str, note: &'static str, message: Owned) -> Accepted {
    Accepted { name, note, frame: message.frame() }
}

fn hellos() -> Vec<Accepted> {
    let full = Hello {
        capabilities: 0,
        agent_id: "db-7.example.org:eu_1".into(),
        labels: vec![label("dc", "ams-3"), label("team", "Größe \"42\"\\\n")],
        interval_ms: 1_000,
        credential: Some(b"s3cret".to_vec()),
        extensions: vec![
            Extension { id: 7, data: vec![] },
            Extension { id: 40_000, data: vec![1, 2, 3] },
        ],
        ..hello()
    };
    let empty = (0..40).map(|n| label(&format!("unset_{n}"), ""));
    let empty = Hello { labels: empty.chain([label("dc", "ams-3")]).collect(), ..hello() };
    let later = Hello { max_version: 3, capabilities: 0x8000_0000_0000_0001, ..hello() };
    vec![
        case("hello_minimal", "A minimal Hello.", Owned::Hello(hello())),
        case(
            "hello_full",
            "Labels with any UTF-8, a credential, extensions with unknown ids.",
            Owned::Hello(full),
        ),
        case(
            "hello_with_empty_labels",
            "One label, and 40 empty ones, which count as absent.",
            Owned::Hello(empty),
        ),
        case(
            "hello_of_a_later_version",
            "An agent with versions 1 to 3 and capabilities that version 1 does not define.",
            Owned::Hello(later),
        ),
    ]
}

fn welcomes() -> Vec<Accepted> {
    let welcome = Welcome {
        version: 1,
        capabilities: 0,
        session_id: 1,
        interval_ms: 15_000,
        limits: WelcomeLimits {
            max_payload_bytes: 1_048_576,
            max_families: 1_000,
            max_series: 10_000,
            max_values: 50_000,
            max_label_bytes: 524_288,
        },
        schema_known: false,
        extensions: vec![],
    };
    let known = Welcome {
        session_id: 300,
        schema_known: true,
        extensions: vec![Extension { id: 1, data: b"later".to_vec() }],
        ..welcome.clone()
    };
    vec![
        case("welcome", "Schema must follow.", Owned::Welcome(welcome)),
        case("welcome_schema_known", "Report may follow immediately.", Owned::Welcome(known)),
    ]
}

fn described(name: &str, kind: u8, unit: &str, help: &str) -> Family {
    Family { unit: unit.into(), help: help.into(), ..family(name, kind) }
}

/// Returns the Schema frame whose fingerprint [`hello`] carries.
pub(super) fn two_gauges() -> Vec<u8> {
    schema(
        vec![
            described("host_cpu_usage_ratio", 1, "ratio", "Busy share of all cores."),
            described("host_memory_used_bytes", 1, "bytes", ""),
        ],
        vec![series(0, 1, &[], &[]), series(1, 1, &[], &[])],
    )
}

fn schemas() -> Vec<Accepted> {
    let every = schema(
        vec![
            family("temperature_celsius", 1),
            family("packets", 2),
            described("request_seconds", 3, "seconds", "How long it took."),
            family("latency_seconds", 4),
            family("release", 5),
            family("oddity", 6),
            family("of_a_later_version", 200),
        ],
        vec![
            series(0, 1, &[], &[label("sensor", "0")]),
            series(0, 1, &[], &[label("sensor", "1")]),
            series(1, 1, &[], &[label("nic", "eth0")]),
            series(2, 5, &[0.005, 0.1, 1.0], &[]),
            series(3, 4, &[0.5, 0.99], &[]),
            series(4, 1, &[], &[label("kernel", "6.12"), label("os", "Linux")]),
            series(5, 1, &[], &[]),
            series(6, 3, &[2.0, 1.0], &[label("a", "b")]),
        ],
    );
    vec![
        Accepted { name: "schema", note: "Two gauges.", frame: two_gauges() },
        Accepted {
            name: "schema_of_every_kind",
            note: "Every family kind, and one of a later version whose three values are skipped.",
            frame: every,
        },
        Accepted {
            name: "schema_with_created",
            note: "A gauge and an info may have a name x_created: the schema has no family x.",
            frame: schema(vec![family("container_created", 1), family("b_created", 5)], vec![]),
        },
        Accepted {
            name: "schema_empty",
            note: "Presence only: reports have no values.",
            frame: schema(vec![], vec![]),
        },
    ]
}

fn reports() -> Vec<Accepted> {
    let report = |sequence, values| {
        Owned::Report(Report { stream: 0, sequence, unix_ms: NEW_YEAR_MS, values })
    };
    let changed = |bitmap: &[u8], values: &[f64]| Values::Changed {
        bitmap: bitmap.to_vec(),
        values: le(values),
    };
    let odd = [
        ABSENT,
        f64::from_bits(0x7ff8_0000_0000_0000),
        f64::from_bits(0xfff8_0000_0000_1234),
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        f64::from_bits(1),
        f64::MAX,
    ];
    vec![
        case("report_all", "Both values of `schema`.", report(1, Values::All(le(&[0.25, 1e9])))),
        case(
            "report_changed",
            "The second of two values changed.",
            report(2, changed(&[0b10], &[1_000_000_001.0])),
        ),
        case("report_unchanged", "Neither of two values changed.", report(300, changed(&[0], &[]))),
        case(
            "report_changed_of_ten",
            "The first, eighth, ninth and tenth of ten values changed.",
            report(70_000, changed(&[0b1000_0001, 0b11], &[1.0, 8.0, 9.0, 10.0])),
        ),
        case(
            "report_of_odd_floats",
            "Absent, two NaNs, infinities, minus zero, the smallest and the largest number.",
            report(3, Values::All(le(&odd))),
        ),
        case(
            "report_of_no_values",
            "All values of `schema_empty`.",
            report(1, Values::All(vec![])),
        ),
    ]
}

fn integers() -> Vec<Accepted> {
    let ping = |name, note, token| case(name, note, Owned::Ping(Ping { token }));
    vec![
        ping("ping", "A token of one byte.", 7),
        ping("ping_250", "The largest number of one byte.", 250),
        ping("ping_251", "The smallest number of three bytes.", 251),
        ping("ping_65535", "The largest number of three bytes.", 0xffff),
        ping("ping_65536", "The smallest number of five bytes.", 0x1_0000),
        ping("ping_4294967295", "The largest number of five bytes.", 0xffff_ffff),
        ping("ping_4294967296", "The smallest number of nine bytes.", 0x1_0000_0000),
        ping("ping_max", "The largest number.", u64::MAX),
        case("pong", "The answer to `ping`.", Owned::Pong(Pong { token: 7 })),
    ]
}

fn farewells() -> Vec<Accepted> {
    let reject = |name, note, code, text: &str, retry_after_ms| {
        let text = text.into();
        case(name, note, Owned::Reject(Reject { stream: 0, code, text, retry_after_ms }))
    };
    let bye = |name, note, reason| case(name, note, Owned::Bye(Bye { stream: 0, reason }));
    let drain = |name, note, delay_ms, target: Option<&str>| {
        case(name, note, Owned::Drain(Drain { delay_ms, target: target.map(Into::into) }))
    };
    let skipped =
        |name, note, kind, payload: &[u8]| Accepted { name, note, frame: raw(kind, payload) };
    vec![
        drain("drain", "Leave after 2.5 s and reconnect to the configured collector.", 2_500, None),
        drain(
            "drain_to",
            "Leave immediately for another collector.",
            0,
            Some("c2.example.org:45678"),
        ),
        reject("reject", "Retrying without a change will fail again.", 20, "bad id", None),
        reject("reject_retry", "Retry in 30 s.", 70, "web-1 is alive elsewhere", Some(30_000)),
        reject(
            "reject_of_a_later_version",
            "A code that version 1 does not know.",
            999,
            "",
            Some(0),
        ),
        bye("bye", "The agent stops.", 0),
        bye("bye_drained", "The agent leaves because of Drain.", 1),
        bye("bye_reconfigured", "The agent reconnects with other settings.", 2),
        bye("bye_of_a_later_version", "A reason that version 1 does not know.", 200),
        skipped("skippable_80", "A skippable kind of a later version, without payload.", 0x80, &[]),
        skipped(
            "skippable_ff",
            "A skippable kind of a later version; its payload is ignored.",
            0xff,
            &[1, 2, 3],
        ),
    ]
}
