//! Attacks with the fields of Hello.

use fleetgauge_proto::message::{Extension, Hello, Label, Secret};
use fleetgauge_proto::{Code, Message};

use super::{House, Stage, two_gauges};
use crate::support::frames::{frame, hello};

fn introduced(change: impl FnOnce(&mut Hello<'_>)) -> Vec<u8> {
    let mut hello = hello("attacker", 66, two_gauges().fingerprint);
    change(&mut hello);
    frame(&Message::Hello(hello))
}

fn labelled(labels: &[(&str, &str)]) -> Vec<u8> {
    let mut hello = hello("attacker", 66, two_gauges().fingerprint);
    hello.labels = labels.iter().map(|(name, value)| Label { name, value }).collect();
    frame(&Message::Hello(hello))
}

#[test]
fn only_future_versions_offered() {
    let mut house = House::new();
    for (least, most) in [(2, 3), (0, 0), (2, 1)] {
        let bytes = introduced(|hello| (hello.min_version, hello.max_version) = (least, most));
        house.refuses(Stage::Connected, &bytes, Code::UnsupportedVersion);
    }
}

#[test]
fn illegal_agent_id() {
    let mut house = House::new();
    let long = "a".repeat(129);
    for id in
        ["", ".", "..", "a b", "a/b", "a\nb", "a\"b", "a\0b", "gr\u{f6}\u{df}e", long.as_str()]
    {
        let bytes = frame(&Message::Hello(hello(id, 66, two_gauges().fingerprint)));
        house.refuses(Stage::Connected, &bytes, Code::BadAgentId);
    }
}

#[test]
fn illegal_label_name() {
    let mut house = House::new();
    let long = "a".repeat(201);
    for name in ["", "1a", "a-b", "a b", "a:b", "a\"b", "\u{e4}", "a\n", long.as_str()] {
        house.refuses(Stage::Connected, &labelled(&[(name, "x")]), Code::BadLabelName);
    }
}

#[test]
fn reserved_label() {
    let mut house = House::new();
    for name in ["agent", "client_no", "instance", "job", "le", "quantile", "__name__", "__x"] {
        house.refuses(Stage::Connected, &labelled(&[(name, "x")]), Code::ReservedLabel);
    }
}

#[test]
fn label_given_twice() {
    House::new().refuses(
        Stage::Connected,
        &labelled(&[("dc", "a"), ("rack", "b"), ("dc", "c")]),
        Code::DuplicateLabel,
    );
}

#[test]
fn label_value_too_long() {
    let long = "v".repeat(1025);
    House::new().refuses(Stage::Connected, &labelled(&[("dc", &long)]), Code::LabelTooLong);
}

#[test]
fn too_many_labels() {
    let names: Vec<_> = (0..33).map(|n| format!("l{n}")).collect();
    let labels: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    House::new().refuses(Stage::Connected, &labelled(&labels), Code::TooManyLabels);
}

#[test]
fn hello_with_long_fields() {
    let mut house = House::new();
    let version = "v".repeat(65);
    let mut hello = hello("attacker", 66, two_gauges().fingerprint);
    hello.agent_version = &version;
    house.refuses(Stage::Connected, &frame(&Message::Hello(hello.clone())), Code::BadHello);
    let credential = [0; 4097];
    hello.agent_version = "";
    hello.credential = Some(Secret(&credential));
    house.refuses(Stage::Connected, &frame(&Message::Hello(hello)), Code::BadHello);
}

#[test]
fn bad_extensions() {
    let mut house = House::new();
    let one = Extension { id: 9, data: b"x" };
    let twice = introduced(|hello| hello.extensions = vec![one, one]);
    house.refuses(Stage::Connected, &twice, Code::BadExtension);
    let many = introduced(|hello| {
        hello.extensions = (0..17).map(|id| Extension { id, data: b"" }).collect();
    });
    house.refuses(Stage::Connected, &many, Code::BadExtension);
}

#[test]
fn what_is_refused_is_quoted_safely() {
    let mut house = House::new();
    let name = "\"}\n# EOF\n\u{1b}[31m\u{202e}".repeat(9);
    let text = house.refuses_after(Stage::Connected, Code::BadLabelName, |attacker| {
        attacker.send(&labelled(&[(&name, "x")]));
    });
    assert!(!text.contains(['\n', '\u{1b}', '\u{202e}']), "{text:?}");
}
