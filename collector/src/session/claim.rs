//! How a connection comes by the id that it claims: Hello, the challenge of another host's holder, Welcome.

use std::sync::Arc;

use fleetgauge_proto::message::{Hello, Ping, Welcome};
use fleetgauge_proto::{AgentId, Code, Message, StaticLabels, VERSION};
use tracing::debug;

use super::agent::Agent;
use super::{CHALLENGE_TIMEOUT, Session, State, send};
use crate::clock::{Millis, ROUNDED};
use crate::ending::{Ending, Refusal};
use crate::exposition::static_labels;
use crate::peer::{Peer, Signal};
use crate::registry::Claim;
use crate::tls::{Certificate, Proof, Verdict};
use crate::trust::Shown;
use crate::untold::{log_count, log_if, shortened};

/// An agent that waits for an id which another host holds.
#[derive(Debug)]
pub(super) struct Challenge {
    pub(super) agent: Agent,
    pub(super) host_nonce: [u8; 16],
    pub(super) holder: Arc<Peer>,
    pub(super) until: Millis,
}

impl Session {
    /// The agent introduces itself.
    pub(super) fn hello(
        &mut self,
        hello: &Hello<'_>,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if !(hello.min_version..=hello.max_version).contains(&VERSION) {
            let (least, most) = (hello.min_version, hello.max_version);
            let detail = format!("versions {least} to {most} are not spoken here, {VERSION} is");
            return Err(Refusal { detail, ..Refusal::of(Code::UnsupportedVersion) });
        }
        let id = AgentId::try_new(hello.agent_id)?;
        let labels = self.authorize(&id, hello)?;
        let agent = Agent::introduce(hello, id, labels, &self.peer, &self.shared)?;
        let id = agent.id();
        match self.shared.registry.claim(id, &hello.host_nonce, now) {
            Claim::Free => self.welcome(agent, now, out),
            Claim::Held(holder) if self.shared.challenges.ask(&holder, &self.peer) => {
                debug!(agent = %id, address = %self.peer.address(), "another host holds this id; asking whether it is alive");
                let until = now + CHALLENGE_TIMEOUT;
                self.state = State::Challenging(Box::new(Challenge {
                    agent,
                    host_nonce: hello.host_nonce,
                    holder,
                    until,
                }));
            }
            Claim::Held(_) | Claim::Contested => {
                let holder = format!("agent {id}, which others claim too");
                return Err(Refusal { detail: holder, ..Refusal::of(Code::IdConflict) });
            }
        }
        Ok(())
    }

    /// Lets the agent have the id, or not, by what it shows for itself; the labels that it has then.
    fn authorize(&self, id: &AgentId, hello: &Hello<'_>) -> Result<StaticLabels, Refusal> {
        let trust = self.shared.trust.read();
        let certificate = self.handshake.as_ref().and_then(|own| own.certificate.as_ref());
        let denied = match trust.admit(id, Shown { token: hello.credential, certificate }) {
            Ok(grant) => {
                self.peer.set_credential(grant.credential);
                return trust.labels.of(&hello.labels, &grant.pinned);
            }
            Err(denied) => denied,
        };
        // A log that is slow must not hold a change of the rules up.
        drop(trust);
        let (address, cause) = (self.peer.address(), denied.cause());
        let names = certificate.map(|own| format!("{:?}", own.names));
        let names = names.as_deref().map(shortened);
        let kind = ("unauthorized", cause);
        log_count!(self.shared, kind, warn, "unauthorized", agent = %id, %address, cause, names);
        self.shared.metrics.unauthorized(denied);
        // The peer is told no more than that.
        Err(Refusal::of(Code::Unauthorized))
    }

    /// Judges what the peer has shown for itself in TLS by the rules in force: once it is established, when they have
    /// changed, and when it expires. `None` if it is not good (any more), which ends the session.
    pub fn judge(&mut self, proof: Proof<'_>, out: &mut Vec<u8>) -> Option<Verdict> {
        let (rules, trust) = (self.shared.rules(), Arc::clone(&self.shared.trust.read()));
        let judge = Arc::clone(trust.tls.as_ref()?.clients());
        let judged = judge.judge(proof, self.shared.clock.moment().unix);
        let is_own = |own: &Certificate| self.id().is_none_or(|id| trust.is_named(id, own));
        let cause = match judged {
            Ok(certificate) if certificate.as_ref().is_none_or(is_own) => {
                let expires = certificate.as_ref().map_or(u64::MAX, |own| own.expires);
                if let Some(handshake) = &mut self.handshake {
                    handshake.certificate = certificate;
                }
                return Some(Verdict { judge, rules, expires });
            }
            Ok(_) => "it is for another agent by the rules of now".to_owned(),
            Err(error) => error.to_string(),
        };
        let kind = ("client certificate rejected", "");
        let agent = self.id().map(tracing::field::display);
        let (address, cause) = (self.peer.address(), shortened(&cause));
        log_count!(
            self.shared, kind, warn, "client certificate rejected", agent, %address, cause
        );
        let known = self.id().is_some();
        let code = if known { Code::CredentialRevoked } else { Code::Unauthorized };
        self.refuse(&Refusal::of(code), out);
        None
    }

    /// The agent that has an id, or waits for it.
    fn agent(&self) -> Option<&Agent> {
        match &self.state {
            State::Open(agent) => Some(agent),
            State::Challenging(challenge) => Some(&challenge.agent),
            State::Greeting { .. } | State::Ended(_) => None,
        }
    }

    pub(super) fn id(&self) -> Option<&AgentId> {
        self.agent().map(Agent::id)
    }

    /// Whether the rules in force let the agent keep the id that it has, or waits for, and its labels.
    pub(super) fn is_still_allowed(&self) -> bool {
        let Some(agent) = self.agent() else { return true };
        // One without labels has lost its place to another, which it is about to be told.
        let Ok(own) = agent.newcomer() else { return true };
        let trust = Arc::clone(&self.shared.trust.read());
        let names = static_labels(&own.labels).map(|(name, _)| name);
        trust.still_allows(&own.id, self.peer.credential(), names)
    }

    fn welcome(&mut self, agent: Agent, now: Millis, out: &mut Vec<u8>) {
        self.peer.set_reported(now);
        let welcome = Welcome {
            version: VERSION,
            capabilities: 0,
            session_id: self.peer.session(),
            interval_ms: self.peer.introduction().interval_ms,
            limits: self.shared.config.bounds.limits,
            schema_known: agent.schema.is_some(),
            extensions: Vec::new(),
        };
        send(&Message::Welcome(welcome), out);
        self.state = State::Open(agent);
        if self.shared.draining() {
            self.ask_to_leave(out);
        }
    }

    /// A rival asks whether this agent is alive: ask it.
    pub(super) fn challenged(&mut self, out: &mut Vec<u8>) {
        if let State::Open(agent) = &mut self.state {
            agent.challenged = true;
            send(&Message::Ping(Ping { token: self.peer.session() }), out);
        } else {
            self.shared.challenges.answer(&self.peer, Signal::Vacated);
        }
    }

    /// The holder of the disputed id is gone or silent.
    pub(super) fn inherit(&mut self, now: Millis, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let challenge = std::mem::replace(&mut self.state, State::Greeting { until: now });
        let State::Challenging(challenge) = challenge else { return Ok(()) };
        let Challenge { agent, host_nonce, holder, .. } = *challenge;
        self.shared.challenges.withdraw(&holder, &self.peer);
        let id = agent.id();
        if self.shared.agent_left(id, &holder, Ending::Rejected(Code::Superseded)) {
            let address = self.peer.address();
            log_if!(
                self.shared.may_tell("another host takes over", id, address.ip()), warn,
                agent = %id, %address, "another host takes over"
            );
            holder.raise(Signal::Superseded);
        }
        match self.shared.registry.claim(id, &host_nonce, now) {
            Claim::Free => {
                self.welcome(agent, now + ROUNDED, out);
                Ok(())
            }
            Claim::Held(_) | Claim::Contested => Err(Refusal::of(Code::IdConflict)),
        }
    }
}
