//! Attacks with the fields of Hello.

use fleetgauge_proto::message::{Extension, Hello, Label, Secret};
use fleetgauge_proto::{Code, Message};

use super::{AttackedCollector, Stage, two_gauges};
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
fn hello_with_only_future_versions_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for (least, most) in [(2, 3), (0, 0), (2, 1)] {
        let bytes = introduced(|hello| (hello.min_version, hello.max_version) = (least, most));
        attacked.refuses(Stage::Connected, &bytes, Code::UnsupportedVersion);
    }
}

#[test]
fn invalid_agent_id_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let long = "a".repeat(129);
    for id in
        ["", ".", "..", "a b", "a/b", "a\nb", "a\"b", "a\0b", "gr\u{f6}\u{df}e", long.as_str()]
    {
        let bytes = frame(&Message::Hello(hello(id, 66, two_gauges().fingerprint)));
        attacked.refuses(Stage::Connected, &bytes, Code::BadAgentId);
    }
}

#[test]
fn invalid_label_name_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let long = "a".repeat(201);
    for name in ["", "1a", "a-b", "a b", "a:b", "a\"b", "\u{e4}", "a\n", long.as_str()] {
        attacked.refuses(Stage::Connected, &labelled(&[(name, "x")]), Code::BadLabelName);
    }
}

#[test]
fn reserved_label_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for name in ["agent", "client_no", "instance", "job", "le", "quantile", "__name__", "__x"] {
        attacked.refuses(Stage::Connected, &labelled(&[(name, "x")]), Code::ReservedLabel);
    }
}

#[test]
fn duplicate_label_is_rejected() {
    AttackedCollector::new().refuses(
        Stage::Connected,
        &labelled(&[("dc", "a"), ("rack", "b"), ("dc", "c")]),
        Code::DuplicateLabel,
    );
}

#[test]
fn long_label_value_is_rejected() {
    let long = "v".repeat(1025);
    AttackedCollector::new().refuses(
        Stage::Connected,
        &labelled(&[("dc", &long)]),
        Code::LabelTooLong,
    );
}

#[test]
fn label_value_of_a_megabyte_is_rejected() {
    let long = "v".repeat(1_000_000);
    // Send only the start: the collector rejects the length in the header.
    let start = &labelled(&[("dc", &long)])[..1_000];
    AttackedCollector::new().refuses(Stage::Connected, start, Code::FrameTooLarge);
}

#[test]
fn too_many_labels_are_rejected() {
    let names: Vec<_> = (0..33).map(|n| format!("l{n}")).collect();
    let labels: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    AttackedCollector::new().refuses(Stage::Connected, &labelled(&labels), Code::TooManyLabels);
}

#[test]
fn hello_with_long_fields_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let version = "v".repeat(65);
    let mut hello = hello("attacker", 66, two_gauges().fingerprint);
    hello.agent_version = &version;
    attacked.refuses(Stage::Connected, &frame(&Message::Hello(hello.clone())), Code::BadHello);
    let credential = [0; 4097];
    hello.agent_version = "";
    hello.credential = Some(Secret(&credential));
    attacked.refuses(Stage::Connected, &frame(&Message::Hello(hello)), Code::BadHello);
}

#[test]
fn invalid_extensions_are_rejected() {
    let mut attacked = AttackedCollector::new();
    let one = Extension { id: 9, data: b"x" };
    let twice = introduced(|hello| hello.extensions = vec![one, one]);
    attacked.refuses(Stage::Connected, &twice, Code::BadExtension);
    let many = introduced(|hello| {
        hello.extensions = (0..17).map(|id| Extension { id, data: b"" }).collect();
    });
    attacked.refuses(Stage::Connected, &many, Code::BadExtension);
}

#[test]
fn rejected_text_is_escaped_in_the_reject() {
    let mut attacked = AttackedCollector::new();
    let name = "\"}\n# EOF\n\u{1b}[31m\u{202e}".repeat(9);
    let text = attacked.refuses_after(Stage::Connected, Code::BadLabelName, |attacker| {
        attacker.send(&labelled(&[(&name, "x")]));
    });
    assert!(!text.contains(['\n', '\u{1b}', '\u{202e}']), "{text:?}");
}
