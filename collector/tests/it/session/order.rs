//! The order of checks in `docs/protocol.md`. Every frame here fails one check and all later ones,
//! so the first of them must decide.

use fleetgauge_collector::Config;
use fleetgauge_proto::message::{Catalog, Column, Extension, Family, Hello, Report, Secret, Table};
use fleetgauge_proto::report::Values;
use fleetgauge_proto::{Code, Message};

use super::reporting;
use crate::support::agent::{Identity, identity};
use crate::support::driven::{Driven, Rig, Sent};
use crate::support::frames::{
    COUNTER, GAUGE, HISTOGRAM, add_disks, bye, catalog_of, change, changed, disks, family, frame,
    gauges, label, labelled, raw, report, rows, single, table,
};
use crate::support::secrets::{Files, entry, guarded};

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const CATALOG: u8 = 3;
const ROWS: u8 = 4;
const REPORT: u8 = 5;
const PING: u8 = 6;
const MAX_LABEL_BYTES: u32 = 100;
/// Page limit: enough for a series with short labels, but not for one with a label of 90 escaped
/// quotes.
const MAX_PAGE_BYTES: usize = 250;
/// Catalog store limit in bytes: too small for a catalog with the label of 90 quotes.
const MAX_CATALOG_BYTES: usize = 100;

/// A configuration with small limits, tokens, and a list of labels that agents may set.
fn config(files: &Files) -> Config {
    let credentials = entry("agent = '*'", &["token"], "");
    let credentials = files.write("agents", &credentials);
    let mut config = guarded(Some(&credentials), None, &["dc", "team"]);
    let limits = &mut config.bounds.limits;
    (limits.max_families, limits.max_series, limits.max_values) = (2, 2, 4);
    limits.max_label_bytes = MAX_LABEL_BYTES;
    config.bounds.page_bytes_per_agent = MAX_PAGE_BYTES;
    config.bounds.catalogs.bytes = MAX_CATALOG_BYTES;
    config
}

fn authorized(id: &str) -> Identity<'_> {
    identity(id).with_credential("token")
}

/// Returns the answer to a connection that sends only these bytes.
fn answer_to(rig: &Rig, mut agent: Driven, bytes: &[u8]) -> Vec<Sent> {
    agent.receives(rig, bytes);
    agent.take_sent()
}

fn reject(code: Code) -> Vec<Sent> {
    vec![Sent::Reject(code)]
}

/// A welcomed agent whose catalog is unknown.
fn welcomed(rig: &Rig, id: &str) -> Driven {
    let mut agent = rig.connect();
    agent.receives(rig, &authorized(id).hello(&gauges(&["never_declared"])));
    assert_eq!(agent.take_sent(), [Sent::Welcome { catalogs_known: false }]);
    agent
}

/// Returns frames with an undecodable payload whose headers fail one check and all later ones, with
/// the code of that check.
fn headers(unexpected: u8) -> [(Vec<u8>, Code); 6] {
    let all = |edit: &dyn Fn(&mut [u8])| {
        let mut bytes = [raw(0x0d, &[0xff; 3]), bye()].concat();
        edit(&mut bytes[..8]);
        bytes
    };
    let no_magic = |header: &mut [u8]| {
        header[..3].copy_from_slice(b"GF\x02");
        header[4..].fill(0xff);
    };
    [
        (all(&no_magic), Code::BadMagic),
        (all(&|header| (no_magic(header), header[..2].copy_from_slice(b"FG")).1), Code::BadFlags),
        (all(&|header| (header[2], header[6]) = (2, 0xff)), Code::UnknownKind),
        (
            all(&|header| (header[2], header[3], header[6]) = (2, unexpected, 0xff)),
            Code::UnsupportedVersion,
        ),
        (all(&|header| (header[3], header[6]) = (unexpected, 0xff)), Code::FrameTooLarge),
        (all(&|header| header[3] = unexpected), Code::UnexpectedFrame),
    ]
}

/// Returns variants of the frame `bytes` whose payload fails one encoding check and all later ones.
/// The payload has the integer 0 at `at`.
fn encodings(bytes: &[u8], at: usize) -> [(Vec<u8>, Code); 3] {
    let (kind, payload) = (bytes[3], &bytes[8..]);
    let long = [&payload[..at], &[0xfb, 0, 0], &payload[at + 1..]].concat();
    [
        (raw(kind, &long[..long.len() - 1]), Code::MalformedPayload),
        (raw(kind, &[&long[..], &[0]].concat()), Code::TrailingBytes),
        (raw(kind, &long), Code::NonMinimalInteger),
    ]
}

#[test]
fn hello_is_checked_in_the_documented_order() {
    let files = Files::new();
    let rig = Rig::new(config(&files));
    let catalog = catalog_of(&[family("load", GAUGE)], &[labelled(0, &[("dc", "x")])]);
    // A holder of the id, and a challenger from another host.
    let _holder = reporting(&rig, &authorized("a"), &catalog);
    let mut rival = rig.connect();
    rival.receives(&rig, &authorized("a").on_host(2).hello(&catalog));
    assert!(rival.take_sent().is_empty());

    for (bytes, code) in headers(REPORT) {
        assert_eq!(answer_to(&rig, rig.connect(), &bytes), reject(code));
    }
    let (long, fifty) = ("x".repeat(5_000), "x".repeat(50));
    let names: Vec<_> = (0..33).map(|n| format!("l{n}")).collect();
    let mut hello = Hello {
        min_version: 2,
        max_version: 3,
        capabilities: 0,
        agent_id: "a b",
        host_nonce: [3; 16],
        process_nonce: [7; 16],
        labels: names.iter().map(|name| label(&(name, "x"))).collect(),
        interval_ms: 15_000,
        agent_version: &long[..65],
        catalogs: vec![catalog.fingerprint; 17],
        credential: Some(Secret(long.as_bytes())),
        extensions: vec![Extension { id: 1, data: &[] }; 2],
    };
    let encode_hello = |hello: &Hello<'_>| frame(&Message::Hello(hello.clone()));
    let behind = [raw(HELLO, &[0xff; 3]), vec![b'F']].concat();
    assert_eq!(answer_to(&rig, rig.connect(), &behind), reject(Code::UnexpectedFrame));
    for (bytes, code) in encodings(&encode_hello(&hello), 2) {
        assert_eq!(answer_to(&rig, rig.connect(), &bytes), reject(code));
    }
    let refused = |hello: &Hello<'_>, code| {
        assert_eq!(answer_to(&rig, rig.connect(), &encode_hello(hello)), reject(code), "{hello:?}");
    };
    // Each iteration corrects one more error.
    refused(&hello, Code::BadHello);
    hello.agent_version = "1";
    refused(&hello, Code::BadHello);
    hello.credential = Some(Secret(b"another"));
    refused(&hello, Code::BadHello);
    hello.catalogs.truncate(2);
    refused(&hello, Code::BadExtension);
    hello.extensions.clear();
    refused(&hello, Code::UnsupportedVersion);
    hello.min_version = 1;
    refused(&hello, Code::BadAgentId);
    hello.agent_id = "a";
    refused(&hello, Code::Unauthorized);
    hello.credential = Some(Secret(b"token"));
    refused(&hello, Code::TooManyLabels);
    hello.labels = vec![label(&("0", &long)), label(&("job", &long))];
    refused(&hello, Code::BadLabelName);
    hello.labels = vec![label(&("job", &long)), label(&("rack", &long))];
    refused(&hello, Code::ReservedLabel);
    hello.labels = vec![label(&("rack", &long)), label(&("rack", &fifty))];
    refused(&hello, Code::LabelTooLong);
    hello.labels = vec![label(&("rack", &fifty)), label(&("rack", &fifty))];
    refused(&hello, Code::DuplicateLabel);
    hello.labels = ["dc", "team", "rack"].map(|name| label(&(name, &fifty))).to_vec();
    refused(&hello, Code::LabelNotAllowed);
    hello.labels = ["dc", "team"].map(|name| label(&(name, &fifty))).to_vec();
    refused(&hello, Code::LabelTooLong);
    let quotes = "\"".repeat(90);
    hello.labels = vec![label(&("team", &quotes))];
    refused(&hello, Code::DuplicateFamily);
    hello.catalogs.truncate(1);
    refused(&hello, Code::PageTooLarge);
    hello.labels = vec![label(&("team", "x"))];
    refused(&hello, Code::IdConflict);
    hello.agent_id = "b";
    let welcome = [Sent::Welcome { catalogs_known: true }];
    assert_eq!(answer_to(&rig, rig.connect(), &encode_hello(&hello)), welcome);
}

#[test]
fn state_and_rate_are_checked_before_the_payload() {
    let files = Files::new();
    let rig = Rig::new(config(&files));
    for (bytes, code) in headers(WELCOME) {
        assert_eq!(answer_to(&rig, welcomed(&rig, "a"), &bytes), reject(code));
    }
    let no_message = [0xff; 3];
    for kind in [HELLO, WELCOME, ROWS, REPORT, 8, 9] {
        let sent = answer_to(&rig, welcomed(&rig, "a"), &raw(kind, &no_message));
        assert_eq!(sent, reject(Code::UnexpectedFrame), "kind {kind}");
    }
    // Five frames an interval, and a burst of twenty intervals.
    let mut agent = welcomed(&rig, "a");
    (0..100).for_each(|_| agent.receives(&rig, &raw(0x80, &[])));
    assert_eq!(answer_to(&rig, agent, &raw(PING, &no_message)), reject(Code::TooManyReports));
    let mut agent = welcomed(&rig, "a");
    (0..100).for_each(|_| agent.receives(&rig, &raw(0x80, &[])));
    assert_eq!(answer_to(&rig, agent, &raw(REPORT, &no_message)), reject(Code::UnexpectedFrame));
    assert_eq!(
        answer_to(&rig, welcomed(&rig, "a"), &raw(PING, &no_message)),
        reject(Code::MalformedPayload)
    );
}

#[test]
fn catalog_is_checked_in_the_documented_order() {
    let files = Files::new();
    let rig = Rig::new(config(&files));
    let greeted = || {
        let mut agent = rig.connect();
        let hello = Identity { labels: vec![label(&("team", "x"))], ..authorized("a") };
        agent.receives(&rig, &hello.hello(&gauges(&["never_declared"])));
        assert_eq!(agent.take_sent(), [Sent::Welcome { catalogs_known: false }]);
        agent
    };
    // The stream is checked first; the fingerprint covers what follows it.
    assert_eq!(answer_to(&rig, greeted(), &raw(CATALOG, &[1, 0xff])), reject(Code::BadStream));
    let (long, wide) = ("x".repeat(2_000), "x".repeat(60));
    let help = |family| Family { help: &long, ..family };
    let unit = |family| Family { unit: "bytes", ..family };
    let tables_of = |slot, families: &[Family<'_>], tables: &[Table<'_>]| {
        let (families, tables) = (families.to_vec(), tables.to_vec());
        frame(&Message::Catalog(Catalog { stream: 0, slot, families, tables }))
    };
    let of = |families: &[Family<'_>], columns: &[Column<'_>]| {
        tables_of(0, families, &[table(&[], columns)])
    };
    let bad = unit(help(family("0", GAUGE)));
    let (fine, histogram) = (family("fine", GAUGE), family("spread", HISTOGRAM));
    let nowhere = Column { parameters: vec![1.0], ..labelled(9, &[("agent", "x")]) };
    let lost = [nowhere.clone()];
    let bounded = Column { family: 0, ..nowhere.clone() };
    let width = Column { width: 9, ..labelled(0, &[("agent", "x")]) };
    let heavy = labelled(0, &[("dc", &wide)]);
    let quotes = "\"".repeat(90);
    let long = "x".repeat(MAX_CATALOG_BYTES);
    let one = single(0);
    let many = Column { width: 5, parameters: vec![1.0, 2.0, 3.0], ..single(1) };
    let (reserved, digits) = (&[("agent", "x")], Column { decimals: 10, ..single(0) });
    let both = [table(&["dc", "dc"], &[Column { family: 9, ..one.clone() }])];
    let also = [table(&["dc"], &[labelled(0, &[("dc", "x")])]), table(&[], &[])];
    let spread = Column { width: 2, ..labelled(1, &[("dc", "x")]) };
    let added = [table(&["dc", "le"], &[spread])];
    let steps = [
        (Code::BadSlot, tables_of(16, &[bad, bad, bad], &[table(&[], &vec![nowhere.clone(); 3])])),
        (Code::TooManyFamilies, of(&[bad, bad, bad], &vec![nowhere.clone(); 3])),
        (Code::BadMetricName, of(&[bad, bad], &vec![nowhere.clone(); 3])),
        (Code::BadUnit, of(&[unit(help(family("fleetgauge_a", GAUGE))), bad], &lost)),
        (Code::HelpTooLong, of(&[help(family("fleetgauge_a", GAUGE)), bad], &lost)),
        (Code::ReservedMetricName, of(&[family("fleetgauge_a", GAUGE), bad], &lost)),
        (Code::DuplicateFamily, of(&[family("fine_total", GAUGE), family("fine", COUNTER)], &lost)),
        (Code::TooManySeries, of(&[fine], &vec![nowhere.clone(); 3])),
        (Code::BadTable, tables_of(0, &[fine], &also)),
        (Code::DuplicateLabel, tables_of(0, &[fine], &both)),
        (Code::BadFamilyIndex, of(&[fine], &[nowhere])),
        (Code::BadParameters, of(&[fine], &[bounded])),
        (Code::BadWidth, of(&[fine], &[width])),
        (Code::BadTable, of(&[fine], &[Column { labels: labelled(0, reserved).labels, ..digits }])),
        (Code::ReservedLabel, of(&[fine], &[labelled(0, reserved)])),
        (Code::ReservedLabel, tables_of(0, &[fine, histogram], &added)),
        (Code::DuplicateLabel, tables_of(0, &[fine], &also[..1])),
        (Code::LabelTooLong, of(&[fine, histogram], &[heavy.clone(), heavy])),
        (Code::TooManyValues, of(&[fine, histogram], &[one.clone(), many])),
        (Code::BadTable, of(&[fine, histogram], &[one.clone(), one.clone()])),
        (Code::DuplicateSeries, of(&[fine], &[one.clone(), one])),
        (Code::PageTooLarge, of(&[fine], &[labelled(0, &[("dc", &quotes)])])),
        (Code::CatalogsFull, of(&[Family { help: &long, ..fine }], &[single(0)])),
    ];
    for (bytes, code) in encodings(&of(&[family("0", GAUGE)], &lost), 6) {
        assert_eq!(answer_to(&rig, greeted(), &bytes), reject(code));
    }
    for (code, bytes) in steps {
        assert_eq!(answer_to(&rig, greeted(), &bytes), reject(code));
    }
    assert_eq!(answer_to(&rig, greeted(), &of(&[fine], &[single(0)])), []);
}

#[test]
fn report_is_checked_in_the_documented_order() {
    let files = Files::new();
    let rig = Rig::new(config(&files));
    let catalog = gauges(&["load"]);
    let holder = |id| reporting(&rig, &authorized(id), &catalog);
    let of = |stream, sequence| {
        let values = Values::Changed { bitmap: &[0xff], values: &[0; 3] };
        frame(&Message::Report(Report { stream, sequence, unix_ms: 0, values }))
    };
    for (bytes, code) in encodings(&of(1, 0), 1) {
        assert_eq!(answer_to(&rig, holder("b"), &bytes), reject(code));
    }
    assert_eq!(answer_to(&rig, holder("b"), &of(1, 0)), reject(Code::BadStream));
    assert_eq!(answer_to(&rig, holder("b"), &of(0, 1)), reject(Code::SequenceNotRising));
    assert_eq!(answer_to(&rig, holder("b"), &of(0, 2)), reject(Code::BadBitmap));
    assert_eq!(answer_to(&rig, holder("b"), &changed(2, &[1], &[])), reject(Code::WrongValueCount));
    assert_eq!(
        answer_to(&rig, holder("b"), &changed(2, &[1], &[1.0, 2.0])),
        reject(Code::BadValue)
    );
    // Two hosts are welcomed while the id is free. The first report takes it.
    let [mut first, mut second, mut third] = [1, 2, 2].map(|host| {
        let mut agent = rig.connect();
        agent.receives(&rig, &authorized("a").on_host(host).hello(&catalog));
        agent.take_sent();
        agent
    });
    first.receives(&rig, &report(1, &[1.0]));
    assert_eq!(answer_to(&rig, second, &report(1, &[1.0, 2.0])), reject(Code::BadValue));
    second = third;
    assert_eq!(answer_to(&rig, second, &report(1, &[2.0])), reject(Code::IdConflict));
    assert_eq!(rig.page().values_of("a"), [1.0]);
    // A newer connection of the host takes over the id. The older one is refused at its next
    // report.
    third = holder("a");
    assert_eq!(answer_to(&rig, first, &report(2, &[1.0, 2.0])), reject(Code::Superseded));
    assert_eq!(rig.page().values_of("a"), [1.0]);
    let older = std::mem::replace(&mut third, holder("a"));
    assert_eq!(answer_to(&rig, older, &report(2, &[1.0])), reject(Code::Superseded));
    assert_eq!(third.close_reason(), None);
}

#[test]
fn rows_are_checked_in_the_documented_order() {
    let files = Files::new();
    let mut config = config(&files);
    config.bounds.catalogs.bytes = 1_000;
    (config.bounds.limits.max_families, config.bounds.limits.max_series) = (3, 3);
    config.bounds.row_changes_per_second = 1;
    let rig = Rig::new(config);
    let with_table = || {
        let mut agent = rig.connect();
        agent.receives(&rig, &authorized("a").hello(&gauges(&["never_declared"])));
        agent.receives(&rig, &disks().bytes);
        assert_eq!(agent.take_sent(), [Sent::Welcome { catalogs_known: false }]);
        agent
    };
    for (bytes, code) in encodings(&add_disks(&[]), 4) {
        assert_eq!(answer_to(&rig, with_table(), &bytes), reject(code));
    }
    let (long, fifty) = ("x".repeat(1_025), "x".repeat(50));
    let many: Vec<u32> = (0..101).collect();
    let steps = [
        (Code::TooManyRowChanges, vec![change(0, 9, &many, &[&long])]),
        (Code::BadRow, vec![change(0, 9, &[7], &[&long]), change(0, 9, &[], &[])]),
        (Code::UnknownTable, vec![change(0, 9, &[7], &[&long])]),
        (Code::LabelTooLong, vec![change(0, 1, &[7], &["y", &long])]),
        (Code::BadRow, vec![change(0, 1, &[7], &["y", "x"])]),
        (Code::TooManyValues, vec![change(0, 1, &[], &["x", &fifty])]),
    ];
    for (code, changes) in steps {
        assert_eq!(answer_to(&rig, with_table(), &rows(&changes)), reject(code));
    }
    assert_eq!(answer_to(&rig, with_table(), &[]), []);
}

/// An agent that does not wait for Welcome is refused, whether its id is contested or free.
#[test]
fn input_before_welcome_is_rejected() {
    let rig = super::rig();
    let catalog = gauges(&["load"]);
    let hello = identity("a").hello(&catalog);
    let early = [&catalog.bytes[..], &report(1, &[1.0]), &bye(), &raw(0x80, &[]), b"F", b"garbage"];
    for bytes in early {
        let mut agent = rig.connect();
        agent.receives(&rig, &[&hello[..20]].concat());
        agent.receives(&rig, &[&hello[20..], bytes].concat());
        assert_eq!(agent.take_sent(), reject(Code::UnexpectedFrame), "after Hello: {bytes:?}");
    }
    assert!(rig.collector.registry.catalogs().find(&catalog.fingerprint).is_none());
    let holder = reporting(&rig, &identity("a"), &catalog);
    for bytes in early {
        let mut challenger = rig.connect();
        challenger.receives(&rig, &identity("a").on_host(2).hello(&catalog));
        challenger.receives(&rig, bytes);
        assert_eq!(
            challenger.take_sent(),
            reject(Code::UnexpectedFrame),
            "while challenging: {bytes:?}"
        );
    }
    assert_eq!((holder.close_reason(), rig.page().values_of("a")), (None, vec![1.0]));
}
