//! Handling of one request.

use std::fmt;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::body::decompress;
use crate::endless::AnswerBody;
use crate::faults::{Answer, EngineRules, Faults};
use crate::findings::FindingKind;
use crate::headers::{self, Encoding, Version};
use crate::intake::Refusal;
use crate::shared::SharedLedger;
use crate::translate;

/// Header by which a sender knows that version 2.0 was understood.
const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection cut")
    }
}

impl std::error::Error for Cut {}

/// What handles the requests of a receiver.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) ledger: SharedLedger,
    pub(crate) faults: Faults,
    pub(crate) max_body: usize,
    pub(crate) max_message: usize,
}

impl Service {
    pub(crate) async fn handle(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Cut> {
        let (parts, body) = request.into_parts();
        let head = headers::check(&parts);
        let body = match Limited::new(body, self.max_body).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(Refusal::new(413, format!("body has more than {} bytes", self.max_body)))
            }
            Err(_) => return Err(Cut),
        };
        // First of all, so that a test that has seen the request may switch to other faults.
        let (answer, delay, rules) = self.faults.next();
        let bytes = body.as_ref().map_or(0, Bytes::len);
        self.ledger.update(|ledger| ledger.note_request(bytes));
        tokio::time::sleep(delay).await;
        let version = head.as_ref().map_or(Version::V1, |(version, _)| *version);
        let message = self.message(head, body, &rules);
        self.answer(answer, version, message, &rules).await
    }

    /// Decompresses the body of a request that the rules allow; notes what is wrong with it.
    fn message(
        &self,
        head: Result<(Version, Encoding), Refusal>,
        body: Result<Bytes, Refusal>,
        rules: &EngineRules,
    ) -> Result<Vec<u8>, Refusal> {
        let note = |kind| {
            move |refusal: &Refusal| {
                self.ledger.lock().note(kind, || refusal.reason.clone());
            }
        };
        let (version, encoding) = head.inspect_err(note(FindingKind::BadHeader))?;
        let body = body.inspect_err(note(FindingKind::OverLimit))?;
        if let Some(limit) = rules.max_body.filter(|limit| body.len() > *limit) {
            return Err(Refusal::new(413, format!("body has more than {limit} bytes")));
        }
        if let Some(status) = rules.zstd_refusal.filter(|_| encoding == Encoding::Zstd) {
            return Err(Refusal::new(status, "zstd is not supported"));
        }
        if let Some(status) = rules.version_2_refusal.filter(|_| version == Version::V2) {
            return Err(Refusal::new(status, "remote write 2.0 is not supported"));
        }
        let message = decompress(&body, encoding, self.max_message);
        let message = message.and_then(|message| match version {
            Version::V1 => Ok(message),
            Version::V2 => Ok(translate::to_1_0(&message, self.max_message)?),
        });
        message.inspect_err(note(FindingKind::Undecodable))
    }

    async fn answer(
        &self,
        answer: Answer,
        version: Version,
        message: Result<Vec<u8>, Refusal>,
        rules: &EngineRules,
    ) -> Result<Response<AnswerBody>, Cut> {
        let store = || {
            let message = message?;
            self.ledger.update(|ledger| ledger.take(&message, rules))
        };
        match answer {
            Answer::Normal => match store() {
                Ok(samples) => {
                    let written = (SAMPLES_WRITTEN, samples.to_string());
                    self.reply(204, "", (version == Version::V2).then_some(written), None)
                }
                Err(refusal) => self.reply(refusal.status, refusal.reason, None, None),
            },
            Answer::Status { status, retry_after } => {
                let header = retry_after.map(|value| ("retry-after", value));
                self.reply(status, "fault", header, None)
            }
            Answer::Hang => std::future::pending().await,
            Answer::Cut { stored } => {
                if stored {
                    // The sender cannot learn of a refusal either.
                    let _ = store();
                }
                Err(Cut)
            }
            Answer::Redirect(url) => self.reply(302, "", Some(("location", url)), None),
            Answer::Html => {
                let header = ("content-type", "text/html; charset=utf-8".to_owned());
                self.reply(200, "<!DOCTYPE html><title>Log in</title>", Some(header), None)
            }
            Answer::EndlessBody { status } => {
                if (200..300).contains(&status) {
                    let _ = store();
                }
                self.reply(status, "", None, Some(AnswerBody::endless()))
            }
        }
    }

    /// Builds an answer and counts it.
    fn reply(
        &self,
        status: u16,
        text: impl Into<Bytes>,
        header: Option<(&'static str, String)>,
        body: Option<AnswerBody>,
    ) -> Result<Response<AnswerBody>, Cut> {
        let mut response = Response::builder().status(status);
        if let Some((name, value)) = header {
            response = response.header(name, value);
        }
        let body = body.unwrap_or_else(|| AnswerBody::full(text));
        self.ledger.update(|ledger| ledger.note_answer(status));
        // A status or header that is not legal comes from the test itself.
        response.body(body).map_err(|_| Cut)
    }
}
