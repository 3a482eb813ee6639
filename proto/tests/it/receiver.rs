//! A receiver without a session: reads frames, decodes messages and validates their contents, as a
//! collector does.

use fleetgauge_proto::limits::MAX_TEXT_BYTES;
use fleetgauge_proto::message::Label;
use fleetgauge_proto::{
    Accept, AgentId, Code, Frame, FrameBuffer, Limits, Message, Schema, StaticLabels, VERSION,
    Violation,
};

/// Limits of the receiver and what it knows about the agent.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) max_payload_bytes: u32,
    pub(crate) limits: Limits,
    /// Number of values of the current schema; `None`: do not check values.
    pub(crate) width: Option<usize>,
    /// The agent's own labels.
    pub(crate) agent_labels: Vec<(String, String)>,
}

impl Default for Context {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            max_payload_bytes: limits.max_payload_bytes,
            limits,
            width: None,
            agent_labels: Vec::new(),
        }
    }
}

impl Context {
    pub(crate) fn accept(&self) -> Accept {
        Accept { version: VERSION, max_payload_bytes: self.max_payload_bytes }
    }
}

/// Reads a complete stream. Returns the number of its frames.
pub(crate) fn receive(bytes: &[u8], context: &Context) -> Result<usize, Violation> {
    let mut buffer = FrameBuffer::default();
    let mut input = bytes;
    let mut frames = 0;
    while let Some(frame) = buffer.next(&mut input, context.accept())? {
        let message = Message::decode(frame)?;
        assert_canonical(frame, &message);
        check_message(&message, context)?;
        frames += 1;
    }
    assert!(input.is_empty(), "all input is consumed");
    if buffer.unfinished_len().is_some() { Err(Violation::TruncatedFrame) } else { Ok(frames) }
}

/// Calls [`receive`], maps the violation to its code and checks that its text fits a Reject.
pub(crate) fn receive_code(bytes: &[u8], context: &Context) -> Result<usize, Code> {
    receive(bytes, context).map_err(|violation| {
        let text = violation.to_string();
        assert!(text.len() <= MAX_TEXT_BYTES, "{text:?} does not fit a Reject");
        violation.code()
    })
}

fn check_message(message: &Message<'_>, context: &Context) -> Result<(), Violation> {
    match message {
        Message::Hello(hello) => {
            AgentId::try_new(hello.agent_id)?;
            StaticLabels::try_new(&hello.labels)?;
        }
        Message::Schema(schema) => {
            let own: Vec<_> =
                context.agent_labels.iter().map(|(name, value)| Label { name, value }).collect();
            let own = StaticLabels::try_new(&own)?;
            Schema::try_new(schema, &context.limits)?.check_static_labels(&own)?;
        }
        Message::Report(report) => {
            if let Some(width) = context.width {
                report.values.check(width)?;
                report.values.apply(&mut vec![0.0; width]);
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
