//! Frames that every receiver accepts: every kind except Rows and Report, in all forms.

use serde_json::json;

use super::{
    ALL_STREAMS, Accepted, catalog, column, family, fingerprint, hello, label, raw, table,
};
use crate::owned::{
    Acknowledge, Bye, Catalog, Column, Drain, Extension, Family, Hello, Owned, Ping, Pong, Reject,
    Report, Resend, Rows, Table, Values, Welcome, WelcomeLimits,
};

/// 2026-01-01T00:00:00Z.
pub(super) const NEW_YEAR_MS: u64 = 1_767_225_600_000;

/// Returns all accepted vectors.
pub(super) fn accepted() -> Vec<Accepted> {
    let mut all = hellos();
    all.extend(welcomes());
    all.extend(catalogs());
    all.extend(logs());
    all.extend(integers());
    all.extend(farewells());
    all
}

pub(super) fn case(name: &'static str, note: &'static str, message: Owned) -> Accepted {
    accept(name, note, message.frame())
}

fn accept(name: &'static str, note: &'static str, frame: Vec<u8>) -> Accepted {
    Accepted { name, note, frame, context: json!({}) }
}

fn hellos() -> Vec<Accepted> {
    let full = Hello {
        capabilities: 0,
        agent_id: "db-7.example.org:eu_1".into(),
        labels: vec![label("dc", "ams-3"), label("team", "Größe \"42\"\\\n")],
        interval_ms: 1_000,
        catalogs: vec![fingerprint(&two_gauges()), fingerprint(&disks())],
        credential: Some(b"s3cret".to_vec()),
        extensions: vec![
            Extension { id: 7, data: vec![] },
            Extension { id: 40_000, data: vec![1, 2, 3] },
        ],
        ..hello()
    };
    let empty = (0..40).map(|n| label(&format!("unset_{n}"), ""));
    let empty = Hello { labels: empty.chain([label("dc", "ams-3")]).collect(), ..hello() };
    let later = Hello { max_version: 3, capabilities: 0x8000_0000_0000_0004, ..hello() };
    let log = Hello { capabilities: 0b11, extensions: vec![log_from(41)], ..hello() };
    let log_and_later = Extension { id: 2, data: vec![0xfb, 0xff, 0xff] };
    let log_and_later = Hello {
        capabilities: 0b1110,
        extensions: vec![Extension { id: 9, data: vec![] }, log_and_later],
        ..hello()
    };
    let catalogs = (0..16).map(|slot| [slot; 16]).collect();
    vec![
        case(
            "hello_minimal",
            "A minimal Hello, with the catalog `catalog`.",
            Owned::Hello(hello()),
        ),
        case(
            "hello_without_catalogs",
            "An agent that is only present.",
            Owned::Hello(Hello { catalogs: vec![], ..hello() }),
        ),
        case(
            "hello_with_16_catalogs",
            "A catalog in every slot.",
            Owned::Hello(Hello { catalogs, ..hello() }),
        ),
        case(
            "hello_full",
            "Labels with any UTF-8, two catalogs, a credential, extensions with unknown ids.",
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
        case(
            "hello_with_log",
            "An agent that keeps a log. Of that, 41 is the first report that is not acknowledged.",
            Owned::Hello(log),
        ),
        case(
            "hello_with_log_from_65535",
            "A log, an unknown extension, and an unknown capability; acknowledgements are not \
             offered, so that the collector cannot ask for reports.",
            Owned::Hello(log_and_later),
        ),
    ]
}

fn welcomes() -> Vec<Accepted> {
    let welcome = Welcome {
        version: 1,
        capabilities: 0,
        session_id: 1,
        interval_ms: 15_000,
        unix_ms: NEW_YEAR_MS,
        limits: WelcomeLimits {
            max_payload_bytes: 1_048_576,
            max_families: 1_000,
            max_series: 50_000,
            max_values: 100_000,
            max_label_bytes: 524_288,
        },
        catalogs_known: 0,
        extensions: vec![],
    };
    let log = Welcome { capabilities: 0b11, ..welcome.clone() };
    let known = Welcome {
        session_id: 300,
        catalogs_known: 0b101,
        extensions: vec![Extension { id: 1, data: b"later".to_vec() }],
        ..welcome.clone()
    };
    vec![
        case("welcome", "No catalog is known: all must follow.", Owned::Welcome(welcome)),
        case(
            "welcome_catalogs_known",
            "The catalogs of slots 0 and 2 are known; that of slot 1 must follow.",
            Owned::Welcome(known),
        ),
        case(
            "welcome_with_log",
            "The collector acknowledges reports, and may ask for those of the log.",
            Owned::Welcome(log),
        ),
    ]
}

fn described(name: &str, kind: u8, unit: &str, help: &str) -> Family {
    Family { unit: unit.into(), help: help.into(), ..family(name, kind) }
}

/// Returns the catalog whose fingerprint [`hello`] carries.
pub(super) fn two_gauges() -> Vec<u8> {
    catalog(
        vec![
            described("host_cpu_usage_ratio", 1, "ratio", "Busy share of all cores."),
            described("host_memory_used_bytes", 1, "bytes", ""),
        ],
        vec![table("", vec![decimals(2, column(0, 1, &[], &[])), column(1, 1, &[], &[])])],
    )
}

fn decimals(decimals: u8, column: Column) -> Column {
    Column { decimals, ..column }
}

/// Returns a catalog with tables of one row and of several.
fn disks() -> Vec<u8> {
    let (read, write) = (label("direction", "read"), label("direction", "write"));
    let families = vec![
        described("load", 1, "", "Processes that run or wait."),
        described("disk_bytes", 2, "bytes", "Bytes transferred."),
        described("disk_busy_seconds", 2, "seconds", ""),
        described("filesystem_free_bytes", 1, "bytes", ""),
    ];
    let disk = vec![
        column(1, 1, &[], &[read]),
        column(1, 1, &[], &[write]),
        decimals(3, column(2, 1, &[], &[])),
    ];
    let tables = vec![
        table("", vec![decimals(9, column(0, 1, &[], &[]))]),
        table("device", disk),
        table("mountpoint,fstype", vec![column(3, 1, &[], &[])]),
    ];
    Owned::Catalog(Catalog { stream: 0, slot: 1, families, tables }).frame()
}

/// Returns a table with a column of every family kind, and one of a later version.
fn every_kind(row_labels: &str) -> Table {
    table(
        row_labels,
        vec![
            decimals(1, column(0, 1, &[], &[label("sensor", "0")])),
            decimals(1, column(0, 1, &[], &[label("sensor", "1")])),
            column(1, 1, &[], &[label("nic", "eth0")]),
            decimals(3, column(2, 5, &[0.005, 0.1, 1.0], &[])),
            column(3, 4, &[0.5, 0.99], &[]),
            column(4, 1, &[], &[label("kernel", "6.12"), label("os", "Linux")]),
            column(5, 1, &[], &[]),
            column(6, 1, &[], &[]),
            column(7, 3, &[2.0, 1.0], &[label("a", "b")]),
        ],
    )
}

/// Returns a Catalog frame with the samples of another exporter.
fn passed_on() -> Vec<u8> {
    let families = vec![
        family("process_cpu_seconds_total", 7),
        family("process_open_fds", 1),
        family("query_seconds_bucket", 7),
        family("query_seconds_count", 7),
        family("query_seconds_sum", 6),
        family("gc_seconds", 6),
    ];
    let of = |family| column(family, 1, &[], &[]);
    let tables = vec![
        table("instance,job", vec![of(0), of(1), of(3), of(4)]),
        table("instance,job,le", vec![of(2)]),
        table("instance,job", vec![column(5, 1, &[], &[label("quantile", "0.50")])]),
    ];
    catalog(families, tables)
}

fn catalogs() -> Vec<Accepted> {
    let kinds = vec![
        family("temperature_celsius", 1),
        family("packets", 2),
        described("request_seconds", 3, "seconds", "How long it took."),
        family("latency_seconds", 4),
        family("release", 5),
        family("oddity", 6),
        family("cache:hits", 7),
        family("of_a_later_version", 200),
    ];
    let names = vec![
        family(":", 1),
        family(":up:sum", 1),
        described("job:io_bytes", 2, "bytes", ""),
        family("hits", 7),
        family("misses_total", 7),
        family("misses_created", 7),
        described("io:seconds_sum_seconds", 7, "seconds", ""),
    ];
    let names_columns = (0..7).map(|family| column(family, 1, &[], &[])).collect();
    let last_slot = Catalog { stream: 0, slot: 15, families: vec![], tables: vec![] };
    let shared = vec![
        table("device", vec![column(0, 1, &[], &[label("op", "read")])]),
        table("device", vec![column(0, 1, &[], &[label("op", "write")])]),
        table("", vec![column(0, 1, &[], &[])]),
    ];
    vec![
        accept("catalog", "Two gauges in a table of one row.", two_gauges()),
        accept("catalog_with_rows", "Tables without, with one and with two row labels.", disks()),
        accept(
            "catalog_of_every_kind",
            "Every family kind, and one of a later version whose three values are skipped.",
            catalog(kinds.clone(), vec![every_kind("")]),
        ),
        accept(
            "catalog_of_every_kind_with_rows",
            "Every family kind in a table with row labels.",
            catalog(kinds, vec![every_kind("container,pod")]),
        ),
        accept(
            "catalog_of_a_shared_family",
            "Three tables whose columns have the same family and cannot have equal series.",
            catalog(vec![family("disk_ops", 2)], shared),
        ),
        accept(
            "catalog_with_created",
            "A gauge and an info may have a name x_created: the catalog has no family x.",
            catalog(
                vec![family("container_created", 1), family("b_created", 5)],
                vec![table("", vec![column(0, 1, &[], &[]), column(1, 1, &[], &[])])],
            ),
        ),
        accept(
            "catalog_of_names",
            "Metric names may have colons. A counter that is named as is may have any suffix.",
            catalog(names, vec![table("", names_columns)]),
        ),
        accept(
            "catalog_of_another_exporter",
            "Samples that an agent passes on: the labels that an exporter and Prometheus have set, \
             buckets and quantiles as plain series, and metrics of a process.",
            passed_on(),
        ),
        accept("catalog_empty", "Reports have no values of it.", catalog(vec![], vec![])),
        case("catalog_of_slot_15", "The last slot.", Owned::Catalog(last_slot)),
    ]
}

/// Returns the extension of Hello of a log that begins with this sequence number.
pub(super) fn log_from(first: u8) -> Extension {
    Extension { id: 2, data: vec![first] }
}

fn logs() -> Vec<Accepted> {
    let resend = |name, note, first, reports| {
        case(name, note, Owned::Resend(Resend { stream: 1, first, reports }))
    };
    let acknowledge = |name, note, sequence| {
        case(
            name,
            note,
            Owned::Acknowledge(Acknowledge { stream: 1, sequence, unix_ms: NEW_YEAR_MS }),
        )
    };
    let replayed = |name, note, message: Owned| Accepted {
        context: json!({ "capabilities": ALL_STREAMS }),
        ..case(name, note, message)
    };
    let values = Values::All(vec![0x41, 0x32, 0x00, 0x94, 0x35, 0x77]);
    let catalog = Catalog { stream: 1, slot: 0, families: vec![], tables: vec![] };
    let report = Report { stream: 1, sequence: 41, unix_ms: NEW_YEAR_MS, values };
    vec![
        acknowledge("acknowledge", "All reports up to 41 are durable.", 41),
        acknowledge("acknowledge_max", "The largest sequence number.", u64::MAX),
        resend("resend", "Up to 100 reports of the log, from 42 on.", 42, 100),
        resend("resend_none", "No further reports.", 0, 0),
        resend("resend_max", "The largest numbers.", u64::MAX, u32::MAX),
        replayed("catalog_replayed", "A catalog of stream 1.", Owned::Catalog(catalog)),
        replayed(
            "rows_replayed",
            "No change of rows, on stream 1.",
            Owned::Rows(Rows { stream: 1, changes: vec![] }),
        ),
        replayed("report_replayed", "A report of the log, on stream 1.", Owned::Report(report)),
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
    let skipped = |name, note, kind, payload: &[u8]| accept(name, note, raw(kind, payload));
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
