use std::sync::Arc;

use fleetgauge_proto::message::{Label, Pong};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::{AgentId, Limits, StaticLabels};

use super::*;
use crate::identity::Nonces;
use crate::metrics::MetricSet;
use crate::profile::EncodedSchema;

const VALUES: [f64; 6] = [0.25, 0.5, 0.75, 8.0, 4.0, 4.0];

fn profile() -> Profile {
    Profile {
        id: AgentId::try_new("web-1").unwrap(),
        nonces: Nonces { host: [1; 16], process: [2; 16] },
        labels: StaticLabels::try_new(&[Label { name: "dc", value: "fra" }]).unwrap(),
        interval: Duration::from_secs(15),
        agent_version: "1.2.3",
        schema: Arc::new(EncodedSchema::of(MetricSet::Basic).unwrap()),
    }
}

fn welcome() -> Welcome<'static> {
    Welcome {
        version: 1,
        capabilities: 0,
        session_id: 7,
        interval_ms: 5_000,
        limits: Limits::default(),
        schema_known: false,
        extensions: Vec::new(),
    }
}

fn bytes(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(VERSION, &mut bytes).unwrap();
    bytes
}

/// Passes `message` to the client. Returns the client's event and the bytes that it sends.
fn give(
    client: &mut Client,
    message: &Message<'_>,
) -> Result<(Option<Event>, Vec<u8>), ClientError> {
    let mut out = Vec::new();
    let event = client.received(&profile(), &mut &*bytes(message), &mut out)?;
    Ok((event, out))
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
    let schema = profile().schema.fingerprint();
    each(&out, |message| {
        let Message::Hello(hello) = message else { panic!("{message:?}") };
        assert_eq!((hello.min_version, hello.max_version, hello.capabilities), (1, 1, 0));
        assert_eq!((hello.agent_id, hello.agent_version), ("web-1", "1.2.3"));
        assert_eq!((hello.host_nonce, hello.process_nonce), ([1; 16], [2; 16]));
        assert_eq!(hello.labels, [Label { name: "dc", value: "fra" }]);
        assert_eq!((hello.interval_ms, hello.schema), (15_000, schema));
    });
    assert!(!client.is_welcomed());
}

#[test]
fn schema_is_sent_if_the_collector_does_not_know_it() {
    let mut client = Client::default();
    client.start(&profile(), None, &mut Vec::new());
    let (event, out) = give(&mut client, &Message::Welcome(welcome())).unwrap();
    let interval = Duration::from_secs(5);
    assert_eq!(event, Some(Event::Welcomed { session_id: 7, interval, schema_known: false }));
    assert_eq!(out, profile().schema.frame());
    assert!(client.is_welcomed());
}

#[test]
fn schema_is_not_sent_if_the_collector_knows_it() {
    let mut client = Client::default();
    client.start(&profile(), None, &mut Vec::new());
    let known = Welcome { schema_known: true, ..welcome() };
    let (_, out) = give(&mut client, &Message::Welcome(known)).unwrap();
    assert!(out.is_empty());
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
            while let Some(event) = client.received(&profile(), &mut input, &mut out).unwrap() {
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
fn the_first_report_is_full_and_later_ones_carry_changes() {
    let mut client = welcomed();
    let mut row = [0.0; 6];
    let mut send = |client: &mut Client, values: &[f64]| {
        let (mut out, mut full) = (Vec::new(), false);
        let sequence = client.report(&profile(), values, 1_000, &mut out).unwrap();
        each(&out, |message| {
            let Message::Report(report) = message else { panic!("{message:?}") };
            assert_eq!((report.sequence, report.unix_ms), (sequence, 1_000));
            report.values.check(6).unwrap();
            report.values.apply(&mut row);
            full = matches!(report.values, Values::All(_));
        });
        assert_eq!(
            row.map(f64::to_bits).as_slice(),
            values.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        );
        (sequence, full, out.len())
    };
    let (first, full, _) = send(&mut client, &VALUES);
    assert!(full);
    let (second, full, len) = send(&mut client, &VALUES);
    assert!(!full && second > first);
    assert!(len < 24, "an unchanged report is {len} bytes");
    let mut changed = VALUES;
    changed[1] = ABSENT;
    assert!(!send(&mut client, &changed).1);
    assert!(send(&mut client, &VALUES.map(|value| value + 1.0)).1, "all changed: full is shorter");
}

#[test]
fn a_new_connection_continues_the_sequence_with_a_full_report() {
    let mut client = welcomed();
    let first = client.report(&profile(), &VALUES, 0, &mut Vec::new()).unwrap();
    client.start(&profile(), None, &mut Vec::new());
    give(&mut client, &Message::Welcome(welcome())).unwrap();
    let mut out = Vec::new();
    assert!(client.report(&profile(), &VALUES, 0, &mut out).unwrap() > first);
    each(&out, |message| {
        let Message::Report(report) = message else { panic!("{message:?}") };
        assert!(matches!(report.values, Values::All(_)));
    });
}

#[test]
fn report_and_bye_need_a_session() {
    let mut client = Client::default();
    let mut out = Vec::new();
    assert_eq!(client.report(&profile(), &VALUES, 0, &mut out), Err(ClientError::NoSession));
    client.start(&profile(), None, &mut Vec::new());
    assert_eq!(client.report(&profile(), &VALUES, 0, &mut out), Err(ClientError::NoSession));
    client.bye(ByeReason::Stopping, &mut out);
    assert!(out.is_empty());
    let mut client = welcomed();
    client.bye(ByeReason::Stopping, &mut out);
    each(&out, |message| assert!(matches!(message, Message::Bye(Bye { stream: 0, reason: 0 }))));
    assert_eq!(client.report(&profile(), &VALUES, 0, &mut out), Err(ClientError::NoSession));
}

#[test]
fn a_report_of_the_wrong_width_is_an_error() {
    let mut out = Vec::new();
    let error = welcomed().report(&profile(), &VALUES[..5], 0, &mut out).unwrap_err();
    assert_eq!(error, ClientError::WrongWidth { given: 5, expected: 6 });
    assert!(out.is_empty());
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
        let event = client.received(&profile(), &mut input, &mut Vec::new()).unwrap();
        let retry_after = Some(Duration::from_secs(30));
        assert_eq!(event, Some(Event::Rejected { code: 70, text: "taken".into(), retry_after }));
        assert_eq!(client.received(&profile(), &mut input, &mut Vec::new()), Ok(None));
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
        .received(&profile(), &mut &b"HTTP/1.1 400 Bad Request"[..], &mut Vec::new())
        .unwrap_err();
    assert_eq!(error.reason(), "bad_magic");

    let huge = [b"FG".as_slice(), &[1, 2, 0xff, 0xff, 0xff, 0]].concat();
    let mut bounded = welcomed();
    let error = bounded.received(&profile(), &mut &*huge, &mut Vec::new()).unwrap_err();
    assert_eq!(error.reason(), "frame_too_large");
}

#[test]
fn welcome_outside_the_offer_or_the_limits_is_an_error() {
    let answer = |welcome: Welcome<'_>| {
        let mut client = Client::default();
        client.start(&profile(), None, &mut Vec::new());
        give(&mut client, &Message::Welcome(welcome)).map(|_| ()).map_err(|error| error.reason())
    };
    assert_eq!(answer(welcome()), Ok(()));
    assert_eq!(answer(Welcome { version: 2, ..welcome() }), Err("not_offered"));
    assert_eq!(answer(Welcome { capabilities: 1, ..welcome() }), Err("not_offered"));
    assert_eq!(answer(Welcome { interval_ms: 0, ..welcome() }), Err("bad_interval"));
    let limits = Limits { max_values: 5, ..Limits::default() };
    assert_eq!(answer(Welcome { limits, ..welcome() }), Err("over_limit"));
    let limits = Limits { max_payload_bytes: 100, ..Limits::default() };
    assert_eq!(answer(Welcome { limits, ..welcome() }), Err("over_limit"));
}

#[test]
fn client_takes_at_most_88_bytes() {
    assert!(size_of::<Client>() <= 88, "{}", size_of::<Client>());
}
