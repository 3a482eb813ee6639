//! A receiver without a session: reads frames, decodes messages and validates their contents, as a
//! collector does.

use fleetgauge_proto::limits::MAX_TEXT_BYTES;
use fleetgauge_proto::{
    AgentId, Catalog, Code, Frame, FrameBuffer, Message, StaticLabels, Violation,
};

use crate::context::Context;

/// Reads a complete stream and applies its reports and rows to the context. Returns the number of
/// its frames.
pub(crate) fn receive(bytes: &[u8], context: &mut Context) -> Result<usize, Violation> {
    let mut buffer = FrameBuffer::default();
    let mut input = bytes;
    let mut frames = 0;
    while let Some(frame) = buffer.next(&mut input, context.accept())? {
        let message = Message::decode_with(frame, context.streams)?;
        assert_canonical(frame, &message);
        check_message(&message, context)?;
        frames += 1;
    }
    assert!(input.is_empty(), "all input is consumed");
    if buffer.unfinished_len().is_some() { Err(Violation::TruncatedFrame) } else { Ok(frames) }
}

/// Calls [`receive`], maps the violation to its code and checks that its text fits a Reject.
pub(crate) fn receive_code(bytes: &[u8], context: &mut Context) -> Result<usize, Code> {
    receive(bytes, context).map_err(|violation| {
        let text = violation.to_string();
        assert!(text.len() <= MAX_TEXT_BYTES, "{text:?} does not fit a Reject");
        violation.code()
    })
}

fn check_message(message: &Message<'_>, context: &mut Context) -> Result<(), Violation> {
    match message {
        Message::Hello(hello) => {
            AgentId::try_new(hello.agent_id)?;
            StaticLabels::try_new(&hello.labels)?;
        }
        Message::Catalog(catalog) => {
            Catalog::try_new(catalog, &context.limits)?;
        }
        Message::Rows(rows) => {
            if let Some(table) = &mut context.table {
                rows.changes.iter().try_for_each(|change| table.edit(change))?;
            }
        }
        Message::Report(report) => {
            if let Some(cells) = &mut context.cells {
                let mut values = cells.values.clone();
                report.values.decode(&mut values, cells.shape())?;
                cells.values = values;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Checks that encoding the message again gives the same bytes.
fn assert_canonical(frame: Frame<'_>, message: &Message<'_>) {
    let mut again = Vec::new();
    message.encode(frame.header.version, &mut again).expect("fits a frame");
    if let Message::Skipped(_) = message {
        again = frame.header.to_bytes().to_vec();
        again.extend_from_slice(frame.payload);
    }
    let mut whole = frame.header.to_bytes().to_vec();
    whole.extend_from_slice(frame.payload);
    assert_eq!(whole, again, "a non-canonical encoding was accepted: {message:?}");
}
