//! Compares the committed conversations of `vectors/v1/transcripts` with the code that generates
//! them and with `docs/protocol.md`.

use std::path::Path;

use fleetgauge_proto::{Frame, FrameBuffer, Message, Streams};
use serde_json::{Value, json};

use crate::cases::transcripts::{Step, Transcript, transcripts};
use crate::context::Context;
use crate::json::{hex, to_json, unhex};
use crate::replay::Replay;

const PAGE: &str = include_str!("../../../docs/protocol.md");

fn with_frame<T>(step: &Step, f: impl FnOnce(Frame<'_>) -> T) -> T {
    let (mut buffer, mut input) = (FrameBuffer::default(), &step.frame[..]);
    let frame = buffer.next(&mut input, Context::default().accept());
    f(frame.expect("a legal frame").expect("a whole frame"))
}

fn json_of(transcript: &Transcript) -> Value {
    let mut replay = Replay::default();
    let steps = transcript.steps.iter().map(|step| {
        let (mut message, shown) = with_frame(step, |frame| {
            let message = Message::decode_with(frame, Streams::LiveAndReplay);
            let message = message.expect("a legal frame");
            (to_json(&message, frame.payload), replay.step(step.connection, frame))
        });
        message["connection"] = json!(step.connection);
        message["from"] = json!(step.from);
        message["note"] = json!(step.note);
        message["hex"] = json!(hex(&step.frame));
        if let Some(shown) = shown {
            message["shown"] = shown;
        }
        message
    });
    let steps: Vec<_> = steps.collect();
    json!({"note": transcript.note, "steps": steps})
}

#[test]
fn committed_transcripts_match_the_generator() {
    for transcript in transcripts() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/v1/transcripts");
        let file = folder.join(format!("{}.json", transcript.name));
        let json = json_of(&transcript);
        if std::env::var_os("REGENERATE_VECTORS").is_some() {
            std::fs::create_dir_all(&folder).expect("a folder");
            let pretty = serde_json::to_string_pretty(&json).expect("JSON") + "\n";
            std::fs::write(&file, pretty).expect("a transcript is written");
        }
        let text = std::fs::read_to_string(&file).expect("a transcript");
        let committed: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(committed, json, "{}", transcript.name);
    }
}

#[test]
fn series_of_a_row_are_shown_exactly_while_it_exists() {
    let json = json_of(&transcripts().remove(0));
    let shown = json["steps"].as_array().expect("steps").iter().filter_map(|step| {
        let series = step.get("shown")?.as_object()?;
        let of = |device: &str| series.keys().filter(|key| key.contains(device)).count();
        Some((of("sda"), of("sdb")))
    });
    assert_eq!(shown.collect::<Vec<_>>(), [(2, 0), (2, 0), (2, 2), (0, 2), (0, 0)]);
}

#[test]
fn transcripts_on_the_page_match_their_vectors() {
    for transcript in transcripts() {
        let start = format!("```frames {}\n", transcript.name);
        let (_, block) = PAGE.split_once(&start).unwrap_or_else(|| panic!("no {start}"));
        let (block, _) = block.split_once("```").expect("the end");
        // A line with an arrow begins a frame; its bytes follow, indented.
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        for line in block.lines() {
            match (line.strip_prefix("    "), found.last_mut()) {
                (Some(bytes), Some((_, frame))) => frame.extend(unhex(bytes)),
                _ if line.starts_with('(') => {}
                _ => found.push((line.to_owned(), Vec::new())),
            }
        }
        let expected = transcript.steps.iter().map(|step| {
            let arrow = if step.from == "agent" { "->" } else { "<-" };
            let kind = with_frame(step, |frame| frame.header.kind.to_string());
            (format!("{} {arrow} {kind}: {}", step.connection, step.note), step.frame.clone())
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{}", transcript.name);
    }
}
