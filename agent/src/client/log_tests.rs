use fleetgauge_proto::capability;
use fleetgauge_proto::message::{Acknowledge, Message, Resend, Welcome};

use super::tests::{NOW, UNIX_MS, bytes, give, profile, welcome};
use super::*;

/// Starts a connection with a log from report 5 on. Returns the client after this Welcome.
fn answered(capabilities: u64) -> Result<(Client, Option<Event>), ClientError> {
    let (mut client, mut out) = (Client::default(), Vec::new());
    client.start_with_log(&profile(), None, 5, &mut out);
    let welcome = Welcome { capabilities, ..welcome() };
    let event = give(&mut client, &Message::Welcome(welcome))?.0;
    Ok((client, event))
}

fn acknowledge() -> Message<'static> {
    Message::Acknowledge(Acknowledge { stream: 1, sequence: 9, unix_ms: 77 })
}

fn resend() -> Message<'static> {
    Message::Resend(Resend { stream: 1, first: 7, reports: 3 })
}

#[test]
fn hello_offers_the_log() {
    let mut out = Vec::new();
    Client::default().start_with_log(&profile(), None, 5, &mut out);
    let accept = Accept { version: VERSION, max_payload_bytes: MAX_FROM_COLLECTOR_BYTES };
    let mut frames = FrameBuffer::default();
    let frame = frames.next(&mut &*out, accept).unwrap().unwrap();
    let Ok(Message::Hello(hello)) = Message::decode(frame) else { panic!("no Hello") };
    assert_eq!((hello.capabilities, hello.log()), (capability::LOG, Some(5)));
}

#[test]
fn collector_with_a_log_acknowledges_and_asks_for_reports() {
    let (mut client, event) = answered(capability::LOG).unwrap();
    let Some(Event::Welcomed { has_log: true, unix_ms: UNIX_MS, .. }) = event else {
        panic!("{event:?}")
    };
    let event = give(&mut client, &acknowledge()).unwrap().0;
    assert_eq!(event, Some(Event::Acknowledged { sequence: 9, unix_ms: 77 }));
    let event = give(&mut client, &resend()).unwrap().0;
    assert_eq!(event, Some(Event::Resend { first: 7, reports: 3 }));
}

#[test]
fn collector_without_a_log_must_not_use_it() {
    for message in [acknowledge(), resend()] {
        let (mut client, event) = answered(0).unwrap();
        assert!(matches!(event, Some(Event::Welcomed { has_log: false, .. })), "{event:?}");
        let error = give(&mut client, &message).unwrap_err();
        assert_eq!(error.reason(), "unexpected_frame");
    }
}

#[test]
fn capabilities_that_were_not_offered_are_rejected() {
    for capabilities in [1, 2, 4, 7, u64::MAX] {
        assert_eq!(answered(capabilities).unwrap_err().reason(), "not_offered");
    }
    // Without a log, none is.
    let mut client = Client::default();
    client.start(&profile(), None, &mut Vec::new());
    let welcome = Welcome { capabilities: capability::LOG, ..welcome() };
    let error = give(&mut client, &Message::Welcome(welcome)).unwrap_err();
    assert_eq!(error.reason(), "not_offered");
}

#[test]
fn log_of_an_earlier_connection_does_not_count() {
    let (mut client, _) = answered(capability::LOG).unwrap();
    client.start(&profile(), None, &mut Vec::new());
    let event = client.received(
        &profile(),
        NOW,
        &mut &*bytes(&Message::Welcome(welcome())),
        &mut Vec::new(),
    );
    assert!(matches!(event, Ok(Some(Event::Welcomed { has_log: false, .. }))), "{event:?}");
    assert_eq!(give(&mut client, &acknowledge()).unwrap_err().reason(), "unexpected_frame");
}
