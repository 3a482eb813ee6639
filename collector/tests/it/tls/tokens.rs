//! Tokens under TLS, without certificates of agents and beside them.

use fleetgauge_collector::config::Flags;
use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Who, who};
use crate::support::collector::Collector;
use crate::support::frames::gauges;
use crate::support::pki::Issued;
use crate::support::pki::text;
use crate::support::secrets::entry;
use crate::support::secure::{Site, Stream, config};

/// A collector with these settings that knows the tokens of `web-01` and `web-02`.
fn start(site: &Site, flags: Flags) -> Collector {
    let own = |id: &str, token: &str| entry(&format!("agent = '{id}'"), &[token], "");
    let entries = own("web-01", "one") + &own("web-02", "two");
    let credentials = site.files.write("credentials", &entries);
    Collector::with(config(flags.with("credentials", text(&credentials))))
}

/// An agent that presents this certificate and connects as `who`.
struct Attempt<'a> {
    collector: &'a Collector,
    site: &'a Site,
    own: Option<&'a Issued>,
    who: Who<'a>,
}

impl Attempt<'_> {
    fn greet(&self) -> Agent<Stream> {
        let mut agent = Agent::secure(self.collector.agents, &self.site.client(self.own));
        agent.send(&self.who.hello(&gauges(&["fg_a"])));
        agent
    }

    fn is_shown(&self) {
        let mut agent = self.greet();
        agent.expect_welcome(&gauges(&["fg_a"]));
        agent.report(&[1.0]);
        assert!(self.collector.page().shows(self.who.id));
    }

    /// It learns no more than that; the collector counts why.
    fn is_refused(&self, cause: &str) {
        let counter = format!("fleetgauge_unauthorized_total{{cause=\"{cause}\"}}");
        let before = self.collector.figure(&counter);
        let (text, retry) = self.greet().expect_reject(Code::Unauthorized);
        assert_eq!((text.as_str(), retry), (Code::Unauthorized.meaning(), None));
        assert_eq!(self.collector.figure(&counter), before + 1.0, "{cause}");
        assert!(!self.collector.page().shows(self.who.id));
    }
}

#[test]
fn a_token_under_tls() {
    let site = Site::new();
    let collector = start(&site, site.flags());
    let attempt = |who| Attempt { collector: &collector, site: &site, own: None, who };
    attempt(who("web-01")).is_refused("no_credential");
    attempt(who("web-01").showing("two")).is_refused("wrong_token");
    attempt(who("web-03").showing("one")).is_refused("unknown_agent");
    attempt(who("web-01").showing("one")).is_shown();
}

#[test]
fn both_must_be_right() {
    let site = Site::new();
    let collector = start(&site, site.mutual());
    let [one, two] = ["web-01", "web-02"].map(|name| site.agent(name));
    let attempt = |own, who| Attempt { collector: &collector, site: &site, own: Some(own), who };
    attempt(&one, who("web-01")).is_refused("no_credential");
    attempt(&one, who("web-01").showing("two")).is_refused("wrong_token");
    attempt(&two, who("web-01").showing("one")).is_refused("wrong_certificate");
    attempt(&two, who("web-01").showing("two")).is_refused("wrong_certificate");
    attempt(&one, who("web-01").showing("one")).is_shown();
}
