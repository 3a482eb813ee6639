//! How an agent gets its id: Hello, authorization, a challenge to the current holder, Welcome.

use std::sync::Arc;

use fleetgauge_proto::message::{Extension, Hello, PINNED_LABELS, Ping, Welcome};
use fleetgauge_proto::{AgentId, Code, Message, StaticLabels, VERSION};
use tracing::debug;

use super::agent::Agent;
use super::{CHALLENGE_TIMEOUT, Session, State, send};
use crate::auth::PresentedCredentials;
use crate::clock::{Millis, ROUNDED};
use crate::exposition::static_labels;
use crate::peers::close_reason::CloseReason;
use crate::peers::handle::{ConnectionHandle, Signal};
use crate::peers::refusal::Refusal;
use crate::registry::Claim;
use crate::telemetry::log_limiter::{log_count, log_if, shortened};
use crate::tls::{Certificate, PresentedChain, Verified};

/// An agent that claims an id held by another host, and waits until the holder answers or times
/// out.
#[derive(Debug)]
pub(super) struct Challenge {
    pub(super) agent: Agent,
    pub(super) host_nonce: [u8; 16],
    pub(super) holder: Arc<ConnectionHandle>,
    pub(super) until: Millis,
}

impl Session {
    /// Handles a Hello: authorizes the agent, and welcomes it or challenges the holder of its id.
    pub(super) fn hello(
        &mut self,
        hello: &Hello<'_>,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if !(hello.min_version..=hello.max_version).contains(&VERSION) {
            let (least, most) = (hello.min_version, hello.max_version);
            let detail =
                format!("versions {least} to {most} are not supported; use version {VERSION}");
            return Err(Refusal { detail, ..Refusal::of(Code::UnsupportedVersion) });
        }
        let id = AgentId::try_new(hello.agent_id)?;
        let labels = self.authorize(&id, hello)?;
        let agent = Agent::from_hello(hello, id, labels, &self.handle, &self.collector)?;
        let id = agent.id();
        match self.collector.registry.claim(id, &hello.host_nonce, now) {
            Claim::Free => self.welcome(agent, now, out),
            Claim::Held(holder) if self.collector.challenges.ask(&holder, &self.handle) => {
                debug!(
                    agent = %id, address = %self.handle.address(),
                    "agent id held by another host; challenging it"
                );
                let until = now + CHALLENGE_TIMEOUT;
                self.state = State::Challenging(Box::new(Challenge {
                    agent,
                    host_nonce: hello.host_nonce,
                    holder,
                    until,
                }));
            }
            Claim::Held(_) | Claim::Contested => {
                let detail = format!(
                    "agent id {id} is in use by another host, or several hosts claim it in turn; \
                     give each host its own id"
                );
                return Err(Refusal { detail, ..Refusal::of(Code::IdConflict) });
            }
        }
        Ok(())
    }

    /// Authorizes the agent to use the id. Returns the agent's static labels, those pinned
    /// included.
    fn authorize(&self, id: &AgentId, hello: &Hello<'_>) -> Result<StaticLabels, Refusal> {
        let policy = self.collector.auth.lock();
        let certificate = self.handshake.as_ref().and_then(|own| own.certificate.as_ref());
        let presented = PresentedCredentials { token: hello.credential, certificate };
        let denied = match policy.authorize(id, presented) {
            Ok(grant) => {
                self.handle.set_credential(grant.credential);
                return policy.labels.of(&hello.labels, &grant.pinned);
            }
            Err(denied) => denied,
        };
        // A slow log must not hold up a reload.
        drop(policy);
        let (address, cause) = (self.handle.address(), denied.cause());
        let names = certificate.map(|own| format!("{:?}", own.names));
        let names = names.as_deref().map(shortened);
        let (collector, kind) = (&self.collector, ("agent unauthorized", cause));
        log_count!(
            collector, kind, warn, "agent unauthorized", agent = %id, %address, cause, names
        );
        self.collector.telemetry.metrics.unauthorized(denied);
        // No detail: the peer must not learn the cause.
        Err(Refusal::of(Code::Unauthorized))
    }

    /// Verifies the peer's certificate chain against the policy in force: after the handshake,
    /// after a reload, and at its expiry. Ends the session and returns `None` if the chain is
    /// invalid.
    pub fn verify(&mut self, presented: PresentedChain<'_>, out: &mut Vec<u8>) -> Option<Verified> {
        let auth = &self.collector.auth;
        let (generation, policy) = (auth.generation(), auth.current());
        let verifier = Arc::clone(policy.tls.as_ref()?.clients());
        let verified = verifier.verify(presented, self.collector.clock.moment().unix);
        let is_own = |own: &Certificate| self.id().is_none_or(|id| policy.is_named(id, own));
        let error = match verified {
            Ok(certificate) if certificate.as_ref().is_none_or(is_own) => {
                let expires = certificate.as_ref().map_or(u64::MAX, |own| own.expires);
                if let Some(handshake) = &mut self.handshake {
                    handshake.certificate = certificate;
                }
                return Some(Verified { verifier, generation, expires });
            }
            Ok(_) => "the certificate is for another agent id under the current policy".to_owned(),
            Err(error) => error.to_string(),
        };
        let kind = ("client certificate rejected", "");
        let agent = self.id().map(tracing::field::display);
        let (address, error) = (self.handle.address(), shortened(&error));
        log_count!(
            self.collector, kind, warn, "client certificate rejected", agent, %address, error
        );
        let known = self.id().is_some();
        let code = if known { Code::CredentialRevoked } else { Code::Unauthorized };
        self.refuse(&Refusal::of(code), out);
        None
    }

    /// Returns the agent of this session; `None` before Hello and after the end.
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

    /// Whether the policy in force still allows the agent's id and labels.
    pub(super) fn is_still_allowed(&self) -> bool {
        let Some(agent) = self.agent() else { return true };
        let policy = self.collector.auth.current();
        let labels = agent.labels();
        let names = static_labels(&labels).map(|(name, _)| name);
        policy.still_allows(agent.id(), self.handle.credential(), names)
            && agent.has_allowed_labels(&self.collector)
    }

    fn welcome(&mut self, agent: Agent, now: Millis, out: &mut Vec<u8>) {
        self.handle.set_reported(now);
        let policy = self.collector.auth.current();
        let pinned: Vec<_> = policy.pinned_names(agent.id(), self.handle.credential()).collect();
        let pinned = pinned.join(",");
        let list = (!pinned.is_empty())
            .then_some(Extension { id: PINNED_LABELS, data: pinned.as_bytes() });
        let welcome = Welcome {
            version: VERSION,
            capabilities: agent.forwarding.as_ref().map_or(0, |own| own.capabilities()),
            session_id: self.handle.session(),
            interval_ms: self.handle.hello().interval_ms,
            unix_ms: self.collector.clock.unix_ms(),
            limits: self.collector.config.bounds.limits,
            catalogs_known: !agent.missing,
            extensions: list.into_iter().collect(),
        };
        send(&Message::Welcome(welcome), out);
        self.state = State::Open(agent);
        if self.collector.draining() {
            self.ask_to_leave(out);
        }
    }

    /// Sends a Ping, because another session challenges this one.
    pub(super) fn challenged(&mut self, out: &mut Vec<u8>) {
        if let State::Open(agent) = &mut self.state {
            agent.challenged = true;
            send(&Message::Ping(Ping { token: self.handle.session() }), out);
        } else {
            self.collector.challenges.answer(&self.handle, Signal::Vacated);
        }
    }

    /// Takes over the claimed id, because its holder is gone or has not answered the challenge.
    pub(super) fn inherit(&mut self, now: Millis, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let challenge = std::mem::replace(&mut self.state, State::Greeting { until: now });
        let State::Challenging(challenge) = challenge else { return Ok(()) };
        let Challenge { agent, host_nonce, holder, .. } = *challenge;
        self.collector.challenges.withdraw(&holder, &self.handle);
        let id = agent.id();
        if self.collector.agent_left(id, &holder, CloseReason::Rejected(Code::Superseded)) {
            let (line, address) = ("agent id taken over by another host", self.handle.address());
            log_if!(
                self.collector.may_log(line, id, address.ip()), warn,
                agent = %id, %address, "agent id taken over by another host"
            );
            holder.raise(Signal::Superseded);
        }
        match self.collector.registry.claim(id, &host_nonce, now) {
            Claim::Free => {
                self.welcome(agent, now + ROUNDED, out);
                Ok(())
            }
            Claim::Held(_) | Claim::Contested => Err(Refusal::of(Code::IdConflict)),
        }
    }
}
