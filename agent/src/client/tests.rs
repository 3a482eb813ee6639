use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{
    Catalog, Column, Drain, Extension, Family, Label, PINNED_LABELS, Pong, Reject, Table, Welcome,
};
use fleetgauge_proto::report::{ABSENT, TableShape, Values};
use fleetgauge_proto::{AgentId, Limits, StaticLabels};

use super::*;
use crate::catalogs::Catalogs;
use crate::identity::Nonces;
use crate::metrics::{MetricSet, Selection};

const VALUES: [f64; 6] = [0.25, 0.5, 0.75, 8.0, 4.0, 4.0];
/// Time of Welcome on the client's clock.
pub(super) const NOW: Duration = Duration::from_secs(100);
/// Time of Welcome on the collector's clock, in milliseconds.
pub(super) const UNIX_MS: u64 = 1_000_000;

pub(super) fn profile() -> Profile {
    Profile {
        id: AgentId::try_new("web-1").unwrap(),
        nonces: Nonces { host: [1; 16], process: [2; 16] },
        labels: StaticLabels::try_new(&[Label { name: "dc", value: "fra" }]).unwrap(),
        interval: Duration::from_secs(15),
        agent_version: "1.2.3",
        catalogs: Selection::of(MetricSet::Basic).catalogs().clone(),
    }
}

pub(super) fn welcome() -> Welcome<'static> {
    Welcome {
        version: 1,
        capabilities: 0,
        session_id: 7,
        interval_ms: 5_000,
        unix_ms: UNIX_MS,
        limits: Limits::default(),
        catalogs_known: 0,
        extensions: Vec::new(),
    }
}

pub(super) fn bytes(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(VERSION, &mut bytes).unwrap();
    bytes
}

/// Passes `message` to the client. Returns the client's event and the bytes that it sends.
pub(super) fn give(
    client: &mut Client,
    message: &Message<'_>,
) -> Result<(Option<Event>, Vec<u8>), ClientError> {
    let mut out = Vec::new();
    let event = client.received(&profile(), NOW, &mut &*bytes(message), &mut out)?;
    Ok((event, out))
}

/// Reports values of the basic set that follow `before`, sampled at Welcome.
fn report(
    client: &mut Client,
    before: &[f64],
    values: &[f64],
    out: &mut Vec<u8>,
) -> Result<u64, ClientError> {
    let update = Update { changes: Vec::new(), row_counts: &[1], before, values, sampled: NOW };
    client.report(&profile(), update, &mut ReportEncoder::default(), out)
}

/// Returns the shape of a report of the basic set.
fn shape() -> impl Iterator<Item = TableShape<'static>> {
    [(1, &[0; 6][..])].into_iter()
}

/// Returns a client in an active session.
fn welcomed() -> Client {
    let mut client = Client::default();
    client.start(&profile(), None, &mut Vec::new());
    give(&mut client, &Message::Welcome(welcome())).unwrap();
    client
}

/// Decodes the frames in `sent` and passes each message to `see`.
fn each(mut sent: &[u8], mut see: impl FnMut(Message<'_>)) {
    let accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };
    while !sent.is_empty() {
        let mut frames = FrameBuffer::default();
        let mut rest = sent;
        let frame = frames.next(&mut rest, accept).unwrap().expect("a whole frame");
        see(Message::decode(frame).unwrap());
        sent = &sent[sent.len() - rest.len()..];
    }
}

#[test]
fn hello_carries_the_profile() {
    let mut client = Client::default();
    let mut out = Vec::new();
    client.start(&profile(), None, &mut out);
    let catalog = profile().catalogs.by_slot()[0].fingerprint();
    each(&out, |message| {
        let Message::Hello(hello) = message else { panic!("{message:?}") };
        assert_eq!((hello.min_version, hello.max_version, hello.capabilities), (1, 1, 0));
        assert_eq!((hello.agent_id, hello.agent_version), ("web-1", "1.2.3"));
        assert_eq!((hello.host_nonce, hello.process_nonce), ([1; 16], [2; 16]));
        assert_eq!(hello.labels, [Label { name: "dc", value: "fra" }]);
        assert_eq!((hello.interval_ms, hello.catalogs), (15_000, vec![catalog]));
    });
    assert!(!client.is_welcomed());
}

#[test]
fn catalogs_that_the_collector_does_not_know_are_sent() {
    let mut profile = profile();
    let basic = profile.catalogs.clone();
    let sets = [MetricSet::Basic, MetricSet::Classic, MetricSet::Basic];
    let catalogs = sets.map(|set| Selection::of(set).catalog().clone());
    profile.catalogs = Catalogs::try_new(catalogs.into()).unwrap();
    let frames = profile.catalogs.by_slot().iter().map(|catalog| catalog.frame());
    let frames: Vec<_> = frames.collect();
    assert_eq!(profile.catalogs.by_slot()[0], basic.by_slot()[0]);
    for (catalogs_known, sent) in [
        (0b000, frames.concat()),
        (0b001, frames[1..].concat()),
        (0b101, frames[1].to_vec()),
        (0b111, Vec::new()),
    ] {
        let (mut client, mut out) = (Client::default(), Vec::new());
        client.start(&profile, None, &mut Vec::new());
        let welcome = bytes(&Message::Welcome(Welcome { catalogs_known, ..welcome() }));
        let event = client.received(&profile, NOW, &mut &*welcome, &mut out).unwrap();
        let (interval, catalogs_sent) = (Duration::from_secs(5), 3 - catalogs_known.count_ones());
        let catalogs_sent = Ok(catalogs_sent as usize);
        let terms = Terms::default();
        let (unix_ms, has_log) = (UNIX_MS, false);
        let expected =
            Event::Welcomed { session_id: 7, interval, catalogs_sent, terms, unix_ms, has_log };
        assert_eq!((event, out), (Some(expected), sent));
        assert!(client.is_welcomed() && client.is_new_session());
    }
}

#[test]
fn input_split_anywhere_gives_the_same_events() {
    let stream = [
        bytes(&Message::Welcome(welcome())),
        bytes(&Message::Ping(Ping { token: 9 })),
        bytes(&Message::Drain(Drain { delay_ms: 100, target: Some("b:1") })),
        bytes(&Message::Pong(Pong { token: 3 })),
    ]
    .concat();
    let run = |chunk: usize| {
        let mut client = Client::default();
        client.start(&profile(), None, &mut Vec::new());
        let (mut events, mut out) = (Vec::new(), Vec::new());
        for mut input in stream.chunks(chunk) {
            while let Some(event) = client.received(&profile(), NOW, &mut input, &mut out).unwrap()
            {
                events.push(event);
            }
            assert!(input.is_empty());
        }
        (events, out)
    };
    let (events, out) = run(stream.len());
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(out.ends_with(&bytes(&Message::Pong(Pong { token: 9 }))));
    for chunk in [1, 2, 7, 9] {
        assert_eq!(run(chunk), (events.clone(), out.clone()), "in pieces of {chunk}");
    }
}

#[test]
fn report_carries_all_values_or_the_changed_ones_whichever_is_shorter() {
    let mut client = welcomed();
    let mut cells = [ABSENT; 6];
    let mut send = |client: &mut Client, values: &[f64]| {
        let (mut out, mut is_full) = (Vec::new(), false);
        let sequence = report(client, &cells, values, &mut out).unwrap();
        each(&out, |message| {
            let Message::Report(report) = message else { panic!("{message:?}") };
            assert_eq!(report.sequence, sequence);
            report.values.decode(&mut cells, shape()).unwrap();
            is_full = matches!(report.values, Values::All(_));
        });
        assert_eq!(cells.map(f64::to_bits), std::array::from_fn(|at| values[at].to_bits()));
        (sequence, is_full, out.len())
    };
    let (first, is_full, _) = send(&mut client, &VALUES);
    assert!(is_full);
    let (second, is_full, len) = send(&mut client, &VALUES);
    assert!(!is_full && second > first);
    assert!(len < 28, "an unchanged report is {len} bytes");
    let mut changed = VALUES;
    changed[1] = ABSENT;
    assert!(!send(&mut client, &changed).1);
    assert!(!send(&mut client, &VALUES).1);
    assert!(send(&mut client, &[0.0; 6]).1, "zeros are shorter than the steps to zero");
}

#[test]
fn report_of_few_values_among_absent_ones_carries_those() {
    let (mut client, mut out) = (welcomed(), Vec::new());
    let values = [ABSENT, ABSENT, ABSENT, 8.0, ABSENT, ABSENT];
    report(&mut client, &[ABSENT; 6], &values, &mut out).unwrap();
    each(&out, |message| {
        let Message::Report(report) = message else { panic!("{message:?}") };
        let expected = Values::Changed { bitmap: &[0b1000], values: &[1, 16] };
        assert_eq!(report.values, expected);
    });
}

#[test]
fn report_times_rise_over_all_connections() {
    let mut client = welcomed();
    let time = |client: &mut Client, sampled: Duration| {
        let mut out = Vec::new();
        let update = Update {
            changes: Vec::new(),
            row_counts: &[1],
            before: &VALUES,
            values: &VALUES,
            sampled,
        };
        client.report(&profile(), update, &mut ReportEncoder::default(), &mut out).unwrap();
        let mut unix_ms = 0;
        each(&out, |message| {
            let Message::Report(report) = message else { panic!("{message:?}") };
            unix_ms = report.unix_ms;
        });
        unix_ms
    };
    assert_eq!(time(&mut client, NOW + Duration::from_secs(5)), UNIX_MS + 5_000);
    client.start(&profile(), None, &mut Vec::new());
    // A Welcome at the time of the previous one: this collector's clock is behind.
    give(&mut client, &Message::Welcome(welcome())).unwrap();
    assert_eq!(time(&mut client, NOW + Duration::from_secs(5)), UNIX_MS + 5_002);
    assert_eq!(time(&mut client, NOW + Duration::from_secs(6)), UNIX_MS + 6_000);
}

#[test]
fn new_connection_continues_the_sequence() {
    let mut client = welcomed();
    let first = report(&mut client, &[ABSENT; 6], &VALUES, &mut Vec::new()).unwrap();
    assert!(!client.is_new_session());
    client.start(&profile(), None, &mut Vec::new());
    give(&mut client, &Message::Welcome(welcome())).unwrap();
    assert!(client.is_new_session());
    let second = report(&mut client, &[ABSENT; 6], &VALUES, &mut Vec::new()).unwrap();
    assert!(second > first);
}

#[test]
fn report_and_bye_need_a_session() {
    let mut client = Client::default();
    let mut out = Vec::new();
    assert_eq!(report(&mut client, &VALUES, &VALUES, &mut out), Err(ClientError::NoSession));
    client.start(&profile(), None, &mut Vec::new());
    assert_eq!(report(&mut client, &VALUES, &VALUES, &mut out), Err(ClientError::NoSession));
    client.bye(ByeReason::Stopping, &mut out);
    assert!(out.is_empty());
    let mut client = welcomed();
    client.bye(ByeReason::Stopping, &mut out);
    each(&out, |message| assert!(matches!(message, Message::Bye(Bye { stream: 0, reason: 0 }))));
    assert_eq!(report(&mut client, &VALUES, &VALUES, &mut out), Err(ClientError::NoSession));
}

#[test]
fn report_that_does_not_fit_the_catalogs_is_an_error() {
    let (mut client, mut out) = (welcomed(), Vec::new());
    let wrong = |given, expected| Err(ClientError::WrongValueCount { given, expected });
    assert_eq!(report(&mut client, &VALUES, &VALUES[..5], &mut out), wrong(5, 6));
    assert_eq!(report(&mut client, &VALUES[..5], &VALUES, &mut out), wrong(5, 6));
    for row_counts in [&[][..], &[1, 0]] {
        let (before, values) = (&VALUES, &VALUES);
        let update = Update { changes: Vec::new(), row_counts, before, values, sampled: NOW };
        let result = client.report(&profile(), update, &mut ReportEncoder::default(), &mut out);
        let given = row_counts.len();
        assert_eq!(result, Err(ClientError::WrongTableCount { given, expected: 1 }));
    }
    assert!(out.is_empty() && client.is_new_session());
}

#[test]
fn input_after_reject_is_ignored() {
    for mut client in [welcomed(), {
        let mut client = Client::default();
        client.start(&profile(), None, &mut Vec::new());
        client
    }] {
        let reject = Reject { stream: 0, code: 70, text: "taken", retry_after_ms: Some(30_000) };
        let mut input = bytes(&Message::Reject(reject));
        input.extend_from_slice(b"garbage");
        let mut input = &*input;
        let event = client.received(&profile(), NOW, &mut input, &mut Vec::new()).unwrap();
        let retry_after = Some(Duration::from_secs(30));
        assert_eq!(event, Some(Event::Rejected { code: 70, text: "taken".into(), retry_after }));
        assert_eq!(client.received(&profile(), NOW, &mut input, &mut Vec::new()), Ok(None));
        assert!(input.is_empty() && !client.is_welcomed());
    }
    assert_eq!((code_reason(70), code_reason(9_999)), ("id_conflict", "unknown"));
}

#[test]
fn protocol_errors_end_the_connection() {
    let error = |message: Message<'_>| give(&mut welcomed(), &message).unwrap_err().reason();
    assert_eq!(error(Message::Welcome(welcome())), "unexpected_frame");
    assert_eq!(error(Message::Bye(Bye { stream: 0, reason: 0 })), "unexpected_frame");

    let mut early = Client::default();
    early.start(&profile(), None, &mut Vec::new());
    let drain = Message::Drain(Drain { delay_ms: 0, target: None });
    assert_eq!(give(&mut early, &drain).unwrap_err().reason(), "unexpected_frame");
    assert_eq!(
        give(&mut early, &drain),
        Ok((None, Vec::new())),
        "input after the error is ignored"
    );

    let mut http = welcomed();
    let error = http
        .received(&profile(), NOW, &mut &b"HTTP/1.1 400 Bad Request"[..], &mut Vec::new())
        .unwrap_err();
    assert_eq!(error.reason(), "bad_magic");

    let huge = [b"FG".as_slice(), &[1, 2, 0xff, 0xff, 0xff, 0]].concat();
    let mut bounded = welcomed();
    let error = bounded.received(&profile(), NOW, &mut &*huge, &mut Vec::new()).unwrap_err();
    assert_eq!(error.reason(), "frame_too_large");
}

#[test]
fn welcome_outside_the_offer_begins_no_session() {
    let answer = |welcome: Welcome<'_>| {
        let (mut client, mut out) = (Client::default(), Vec::new());
        client.start(&profile(), None, &mut Vec::new());
        let welcome = bytes(&Message::Welcome(welcome));
        let result = client.received(&profile(), NOW, &mut &*welcome, &mut out);
        assert_eq!(result.is_ok(), client.is_welcomed());
        assert_eq!(result.is_ok(), !out.is_empty());
        result.map(|_| ()).map_err(|error| error.reason())
    };
    assert_eq!(answer(welcome()), Ok(()));
    assert_eq!(answer(Welcome { version: 2, ..welcome() }), Err("not_offered"));
    assert_eq!(answer(Welcome { capabilities: 1, ..welcome() }), Err("not_offered"));
    assert_eq!(answer(Welcome { interval_ms: 0, ..welcome() }), Err("bad_interval"));
}

#[test]
fn catalogs_that_do_not_meet_the_terms_are_not_sent() {
    let mut profile = profile();
    profile.catalogs = labelled_catalogs();
    let problem = |welcome: Welcome<'_>| {
        let (mut client, mut out) = (Client::default(), Vec::new());
        client.start(&profile, None, &mut Vec::new());
        let welcome = bytes(&Message::Welcome(welcome));
        let event = client.received(&profile, NOW, &mut &*welcome, &mut out).unwrap();
        let Some(Event::Welcomed { catalogs_sent, .. }) = event else { panic!("{event:?}") };
        assert_eq!(catalogs_sent.is_ok(), !out.is_empty());
        catalogs_sent.err().map(|error| error.reason())
    };
    assert_eq!(problem(welcome()), None);
    for limits in [
        Limits { max_values: 0, ..Limits::default() },
        Limits { max_families: 0, ..Limits::default() },
        Limits { max_payload_bytes: 1, ..Limits::default() },
    ] {
        assert_eq!(problem(Welcome { limits, ..welcome() }), Some("over_limit"));
    }
    for (pinned, expected) in [
        ("site,tenant", None),
        ("site,device", Some("pinned_label")),
        ("mode", Some("pinned_label")),
    ] {
        let extensions = vec![Extension { id: PINNED_LABELS, data: pinned.as_bytes() }];
        assert_eq!(problem(Welcome { extensions, ..welcome() }), expected);
    }
}

/// Returns a catalog with a label in a column and one in rows.
fn labelled_catalogs() -> Catalogs {
    let family = Family { name: "load", kind: FamilyKind::Gauge as u8, unit: "", help: "" };
    let labels = vec![Label { name: "mode", value: "user" }];
    let column = Column { family: 0, width: 1, decimals: 0, parameters: vec![], labels };
    let tables = vec![Table { row_labels: vec!["device"], columns: vec![column] }];
    let families = vec![family];
    Catalogs::try_new(vec![Catalog { stream: 0, slot: 0, families, tables }]).unwrap()
}

#[test]
fn client_takes_at_most_40_bytes() {
    assert!(size_of::<Client>() <= 40, "{}", size_of::<Client>());
}
