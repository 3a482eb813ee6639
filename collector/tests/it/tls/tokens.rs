//! Tokens over TLS, with and without client certificates.

use fleetgauge_collector::config::Flags;
use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::Collector;
use crate::support::frames::gauges;
use crate::support::pki::Issued;
use crate::support::pki::text;
use crate::support::secrets::entry;
use crate::support::secure::{Site, Stream, config};

/// A collector with these settings, and tokens for `web-01` and `web-02`.
fn start(site: &Site, flags: Flags) -> Collector {
    let own = |id: &str, token: &str| entry(&format!("agent = '{id}'"), &[token], "");
    let entries = own("web-01", "one") + &own("web-02", "two");
    let credentials = site.files.write("credentials", &entries);
    Collector::with(config(flags.with("credentials", text(&credentials))))
}

/// An agent that presents this certificate and connects as `identity`.
struct Attempt<'a> {
    collector: &'a Collector,
    site: &'a Site,
    own: Option<&'a Issued>,
    identity: Identity<'a>,
}

impl Attempt<'_> {
    fn greet(&self) -> Agent<Stream> {
        let mut agent = Agent::secure(self.collector.agents, &self.site.client(self.own));
        agent.send(&self.identity.hello(&gauges(&["fg_a"])));
        agent
    }

    fn is_shown(&self) {
        let mut agent = self.greet();
        agent.expect_welcome(&gauges(&["fg_a"]));
        agent.report(&[1.0]);
        assert!(self.collector.page().shows(self.identity.id));
    }

    /// Checks that the agent is rejected as unauthorized without a reason, and that the collector
    /// counts the cause.
    fn is_refused(&self, cause: &str) {
        let counter = format!("fleetgauge_unauthorized_total{{cause=\"{cause}\"}}");
        let before = self.collector.metric(&counter);
        let (text, retry) = self.greet().expect_reject(Code::Unauthorized);
        assert_eq!((text.as_str(), retry), (Code::Unauthorized.meaning(), None));
        assert_eq!(self.collector.metric(&counter), before + 1.0, "{cause}");
        assert!(!self.collector.page().shows(self.identity.id));
    }
}

#[test]
fn token_over_tls_is_accepted() {
    let site = Site::new();
    let collector = start(&site, site.flags());
    let attempt = |identity| Attempt { collector: &collector, site: &site, own: None, identity };
    attempt(identity("web-01")).is_refused("no_credential");
    attempt(identity("web-01").with_credential("two")).is_refused("wrong_token");
    attempt(identity("web-03").with_credential("one")).is_refused("unknown_agent");
    attempt(identity("web-01").with_credential("one")).is_shown();
}

#[test]
fn certificate_and_token_must_both_be_valid() {
    let site = Site::new();
    let collector = start(&site, site.mutual());
    let [one, two] = ["web-01", "web-02"].map(|name| site.agent(name));
    let attempt =
        |own, identity| Attempt { collector: &collector, site: &site, own: Some(own), identity };
    attempt(&one, identity("web-01")).is_refused("no_credential");
    attempt(&one, identity("web-01").with_credential("two")).is_refused("wrong_token");
    attempt(&two, identity("web-01").with_credential("one")).is_refused("wrong_certificate");
    attempt(&two, identity("web-01").with_credential("two")).is_refused("wrong_certificate");
    attempt(&one, identity("web-01").with_credential("one")).is_shown();
}
