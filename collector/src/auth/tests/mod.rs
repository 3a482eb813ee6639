mod files;

use std::io::Write;
use std::path::Path;

use fleetgauge_proto::Code;
use fleetgauge_proto::message::Label;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::*;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn digest(token: &str) -> String {
    let digest = Sha256::digest(token);
    digest.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// An entry for these agents, with these tokens and other keys.
fn entry(agent: &str, tokens: &[&str], more: &str) -> String {
    let tokens: Vec<_> = tokens.iter().map(|token| digest(token)).collect();
    format!("[[credential]]\nagent = {agent:?}\ntokens = {tokens:?}\n{more}\n")
}

/// The rules of a file that comes after `before`.
fn after(text: &str, before: &AuthPolicy) -> AuthPolicy {
    let agents = Credentials::read(file(text).path(), false, before.agents.as_ref()).unwrap();
    AuthPolicy { agents: Some(agents), ..AuthPolicy::default() }
}

fn rules(text: &str) -> AuthPolicy {
    after(text, &AuthPolicy::default())
}

fn id(id: &str) -> AgentId {
    AgentId::try_new(id).unwrap()
}

fn admit(policy: &AuthPolicy, agent: &str, token: &str) -> Result<Grant, Denied> {
    policy.authorize(
        &id(agent),
        PresentedCredentials { token: Some(Secret(token.as_bytes())), certificate: None },
    )
}

/// No label.
fn none() -> std::iter::Empty<&'static str> {
    std::iter::empty()
}

fn problem(text: &str) -> String {
    let file = file(text);
    let problem = Credentials::read(file.path(), false, None).unwrap_err().to_string();
    problem.strip_prefix(&*file.path().to_string_lossy()).unwrap().to_owned()
}

#[test]
fn a_token_gives_its_own_id_and_no_other() {
    let policy = rules(&(entry("web-1", &["one"], "") + &entry("web-2", &["two"], "")));
    assert!(admit(&policy, "web-1", "one").is_ok());
    assert!(admit(&policy, "web-2", "two").is_ok());
    assert_eq!(admit(&policy, "web-2", "one"), Err(Denied::WrongToken));
    assert_eq!(admit(&policy, "web-3", "one"), Err(Denied::UnknownAgent));
    assert_eq!(admit(&policy, "web-1", ""), Err(Denied::NoCredential));
    assert_eq!(
        policy.authorize(&id("web-1"), PresentedCredentials::default()),
        Err(Denied::NoCredential)
    );
    for near in ["on", "one ", "one\n", "One", "one\0"] {
        assert_eq!(admit(&policy, "web-1", near), Err(Denied::WrongToken), "{near:?}");
    }
}

#[test]
fn without_rules_everybody_may_be_anybody() {
    let policy = AuthPolicy::default();
    assert_eq!(
        policy.authorize(&id("web-1"), PresentedCredentials::default()),
        Ok(Grant::default())
    );
    assert_eq!(admit(&policy, "web-1", "anything"), Ok(Grant::default()));
    assert!(policy.still_allows(&id("web-1"), CredentialId::NONE, none()));
    // A policy that is no longer in force pinned its labels.
    assert!(!policy.still_allows(&id("web-1"), CredentialId::from_u32(1), none()));
}

#[test]
fn the_entry_that_fits_best_decides() {
    let policy = rules(
        &[
            entry("*", &["all"], ""),
            entry("web-*", &["web"], ""),
            entry("web-fra-*", &["fra"], ""),
            entry("web-fra-1", &["own"], ""),
        ]
        .concat(),
    );
    for (agent, right) in [
        ("db-1", "all"),
        ("web-", "web"),
        ("web-9", "web"),
        ("web-fra-2", "fra"),
        ("web-fra-1", "own"),
    ] {
        for token in ["all", "web", "fra", "own"] {
            assert_eq!(
                admit(&policy, agent, token).is_ok(),
                token == right,
                "{agent} with {token}"
            );
        }
    }
}

#[test]
fn a_retired_agent_is_not_let_in_by_the_token_that_all_share() {
    let policy = rules(&(entry("*", &["all"], "") + &entry("old", &[], "")));
    assert!(admit(&policy, "new", "all").is_ok());
    assert_eq!(admit(&policy, "old", "all"), Err(Denied::UnknownAgent));
}

#[test]
fn two_tokens_are_valid_while_one_takes_the_other_s_place() {
    let first = rules(&entry("web-1", &["old"], ""));
    let credential = |policy: &AuthPolicy, token| admit(policy, "web-1", token).unwrap().credential;
    let both = after(&entry("web-1", &["old", "new"], ""), &first);
    assert_eq!(credential(&both, "old"), credential(&first, "old"));
    assert_ne!(credential(&both, "old"), credential(&both, "new"));
    let last = after(&entry("web-1", &["new"], ""), &both);
    assert_eq!(credential(&last, "new"), credential(&both, "new"));
    assert_eq!(admit(&last, "web-1", "old"), Err(Denied::WrongToken));
    assert!(last.still_allows(&id("web-1"), credential(&both, "new"), none()));
    assert!(!last.still_allows(&id("web-1"), credential(&both, "old"), none()));
    // Added again, it is another credential.
    let back = after(&entry("web-1", &["new", "old"], ""), &last);
    assert!(!back.still_allows(&id("web-1"), credential(&first, "old"), none()));
}

#[test]
fn who_came_without_a_credential_is_not_allowed_by_rules_that_ask_for_one() {
    assert!(!rules(&entry("web-1", &["one"], "")).still_allows(
        &id("web-1"),
        CredentialId::NONE,
        none()
    ));
}

#[test]
fn an_entry_of_its_own_ends_what_a_shared_token_gave() {
    let collector = rules(&entry("*", &["all"], ""));
    let credential = admit(&collector, "web-1", "all").unwrap().credential;
    let own = after(&(entry("*", &["all"], "") + &entry("web-1", &["own"], "")), &collector);
    assert!(own.still_allows(&id("web-2"), credential, none()));
    assert!(!own.still_allows(&id("web-1"), credential, none()));
}

#[test]
fn other_pinned_labels_are_another_credential() {
    let fra = rules(&entry("web-1", &["one"], "labels = { site = 'fra' }"));
    let grant = admit(&fra, "web-1", "one").unwrap();
    assert_eq!(grant.pinned.iter().collect::<Vec<_>>(), [("site", "fra")]);
    let ams = after(&entry("web-1", &["one"], "labels = { site = 'ams' }"), &fra);
    assert!(!ams.still_allows(&id("web-1"), grant.credential, none()));
}

#[test]
fn labels_that_may_not_be_set_any_more() {
    let pinned = entry("web-1", &["one"], "labels = { site = 'fra' }");
    let mut policy = rules(&pinned);
    let credential = admit(&policy, "web-1", "one").unwrap().credential;
    for (allowed, of_agent, stays) in [
        (None, &["site", "role", "rack"][..], true),
        (Some("role"), &["site", "role"], true),
        (Some("role"), &["site", "role", "rack"], false),
        (Some("role"), &["site"], true),
        (Some(""), &["site"], true),
        (Some(""), &["site", "role"], false),
    ] {
        policy.labels =
            allowed.map(|one| Labels::only(&[one.to_owned()]).unwrap()).unwrap_or_default();
        let labels = of_agent.iter().copied();
        assert_eq!(
            policy.still_allows(&id("web-1"), credential, labels),
            stays,
            "{allowed:?} {of_agent:?}"
        );
    }
    policy.agents = None;
    assert!(!policy.still_allows(&id("web-1"), CredentialId::NONE, ["site"].into_iter()));
}

#[test]
fn credentials_that_were_left_out_meanwhile_come_back_as_others() {
    let of = |token, before: &AuthPolicy| after(&entry("web-1", &[token], ""), before);
    let credential = admit(&of("one", &AuthPolicy::default()), "web-1", "one").unwrap().credential;
    // What was in force last knows of no credentials.
    let back = of("two", &AuthPolicy::default());
    assert!(!back.still_allows(&id("web-1"), credential, none()));
}

/// The credentials of a file where agents show certificates, which comes after `before`.
fn certified(text: &str, before: Option<&Credentials>) -> Credentials {
    Credentials::read(file(text).path(), true, before).unwrap()
}

/// An entry for agents whose certificate is enough.
fn by_certificate(agent: &str, site: &str) -> String {
    format!("[[credential]]\nagent = {agent:?}\nlabels = {{ site = {site:?} }}\n")
}

#[test]
fn a_certificate_is_enough_where_an_entry_has_no_tokens() {
    let both = by_certificate("web-*", "fra") + &entry("web-1", &["one"], "");
    let credentials = certified(&(both + &entry("web-2", &[], "")), None);
    let admit = |agent, token: &str, certified| {
        credentials.authorize(&id(agent), token.as_bytes(), certified)
    };
    for token in ["", "whatever it was given for another collector"] {
        let grant = admit("web-3", token, true).unwrap();
        assert_eq!(grant.pinned.iter().collect::<Vec<_>>(), [("site", "fra")]);
    }
    // Other entries keep their requirements.
    assert!(admit("web-1", "one", true).is_ok());
    assert_eq!(admit("web-1", "", true), Err(Denied::NoCredential));
    assert_eq!(admit("web-1", "two", true), Err(Denied::WrongToken));
    assert_eq!(admit("web-2", "", true), Err(Denied::UnknownAgent));
    // An agent without an entry is denied.
    assert_eq!(admit("db-1", "", true), Err(Denied::UnknownAgent));
    assert_eq!(admit("web-3", "", false), Err(Denied::NoCredential));
    assert_eq!(admit("web-3", "one", false), Err(Denied::NoCredential));
}

#[test]
fn a_certificate_stays_enough_until_its_entry_changes() {
    let first = certified(&by_certificate("web-1", "fra"), None);
    let credential = first.authorize(&id("web-1"), b"", true).unwrap().credential;
    let more = by_certificate("web-2", "fra") + &by_certificate("web-1", "fra");
    assert!(certified(&more, Some(&first)).still_pinned(&id("web-1"), credential).is_some());
    for other in [
        by_certificate("web-1", "ams"),
        by_certificate("web-*", "fra"),
        by_certificate("web-2", "fra"),
        entry("web-1", &["one"], "labels = { site = 'fra' }"),
        entry("web-1", &[], "labels = { site = 'fra' }"),
    ] {
        let changed = certified(&other, Some(&first));
        assert!(changed.still_pinned(&id("web-1"), credential).is_none(), "{other}");
        let back = certified(&by_certificate("web-1", "fra"), Some(&changed));
        assert!(back.still_pinned(&id("web-1"), credential).is_none(), "{other}");
    }
}

#[test]
fn labels_that_agents_may_set() {
    let set = |pairs: &[(&str, &str)]| -> StaticLabels {
        let labels: Vec<_> = pairs.iter().map(|(name, value)| Label { name, value }).collect();
        StaticLabels::try_new(&labels).unwrap()
    };
    let said = |pairs: &[(&'static str, &'static str)]| -> Vec<Label<'static>> {
        pairs.iter().map(|(name, value)| Label { name, value }).collect()
    };
    let any = Labels::default();
    let role = Labels::only(&["role".to_owned()]).unwrap();
    let none = Labels::only(&[String::new()]).unwrap();
    let site = set(&[("site", "fra")]);
    let code = |refused: Result<_, crate::peers::refusal::Refusal>| refused.unwrap_err().code;
    assert_eq!(any.of(&said(&[("x", "1")]), &site), Ok(set(&[("site", "fra"), ("x", "1")])));
    assert_eq!(
        role.of(&said(&[("role", "db")]), &site),
        Ok(set(&[("role", "db"), ("site", "fra")]))
    );
    assert_eq!(code(role.of(&said(&[("x", "1")]), &site)), Code::LabelNotAllowed);
    assert_eq!(code(none.of(&said(&[("role", "db")]), &site)), Code::LabelNotAllowed);
    assert_eq!(none.of(&[], &site), Ok(site.clone()));
    assert_eq!(none.of(&said(&[("site", "fra")]), &site), Ok(site.clone()));
    assert_eq!(code(any.of(&said(&[("site", "ams")]), &site)), Code::LabelNotAllowed);
    assert_eq!(code(any.of(&said(&[("job", "x")]), &site)), Code::ReservedLabel);
    let names: Vec<_> = (0..32).map(|n| format!("l{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| Label { name, value: "x" }).collect();
    assert!(any.of(&many, &StaticLabels::default()).is_ok());
    assert_eq!(code(any.of(&many, &site)), Code::TooManyLabels);
    Labels::only(&["agent".to_owned()]).unwrap_err();
    Labels::only(&["a-b".to_owned()]).unwrap_err();
}

/// The readers of a file with two users.
fn readers() -> Readers {
    let entry = |user: &str, tokens: &[&str]| {
        entry("x", tokens, "").replace("agent = \"x\"", &format!("user = {user:?}"))
    };
    Readers::read(file(&(entry("prometheus", &["p1", "p2"]) + &entry("admin", &["a"]))).path())
        .unwrap()
}

fn basic(pair: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
}

#[test]
fn readers_show_a_token_or_a_user_and_a_token() {
    let readers = readers();
    for good in ["Bearer p1", "bearer  p2", "BEARER a", &basic("prometheus:p1"), &basic("admin:a")]
    {
        assert!(readers.allow(Some(good.as_bytes())).is_ok(), "{good}");
    }
    for wrong in [
        "Bearer x",
        "Bearer p1x",
        "Bearer p",
        &basic("prometheus:a"),
        &basic("admin:p1"),
        &basic("nobody:p1"),
        &basic(":p1"),
        &basic("prometheus:"),
        &basic("prometheus:p1:"),
    ] {
        assert_eq!(readers.allow(Some(wrong.as_bytes())), Err(ReadDenied::Wrong), "{wrong}");
    }
    for odd in ["", "Bearer", "p1", "Digest p1", "Basic p1:!", &basic("prometheus"), "Bearer\tp1"] {
        assert_eq!(readers.allow(Some(odd.as_bytes())), Err(ReadDenied::NotUnderstood), "{odd:?}");
    }
    assert_eq!(readers.allow(Some(b"Bearer \xff")), Err(ReadDenied::NotUnderstood));
    assert_eq!(readers.allow(None), Err(ReadDenied::NoCredential));
}

/// Too long a blank for its digest to be known: it opens nothing all the same.
#[test]
fn white_space_is_no_token_whatever_its_digest() {
    let blank = " ".repeat(64);
    let agents = rules(&entry("a", &[&blank], ""));
    assert_eq!(admit(&agents, "a", &blank), Err(Denied::NoCredential));
    let agents = certified(&entry("a", &[&blank], ""), None);
    assert_eq!(agents.authorize(&id("a"), blank.as_bytes(), true), Err(Denied::NoCredential));
    let user = entry("a", &[&blank], "").replace("agent = ", "user = ");
    let readers = Readers::read(file(&user).path()).unwrap();
    let shown = basic(&format!("a:{blank}"));
    assert_eq!(readers.allow(Some(shown.as_bytes())), Err(ReadDenied::Wrong));
}

#[test]
fn a_new_token_is_known_by_its_entry() {
    let names = ["prometheus", "a \"quoted\" \\ name", "J\u{fc}rgen\u{200b}"];
    for name in names {
        let new = NewToken::for_user(name).unwrap();
        let readers = Readers::read(file(&new.entry).path()).unwrap();
        for shown in [format!("Bearer {}", new.token), basic(&format!("{name}:{}", new.token))] {
            assert!(readers.allow(Some(shown.as_bytes())).is_ok(), "{}", new.entry);
        }
    }
    let [web, others] = ["web-1", "*"].map(|agent| NewToken::for_agent(agent).unwrap());
    // Added to a file whose last line has no end.
    let policy = rules(&format!("# agents{}# others{}", web.entry, others.entry));
    assert!(admit(&policy, "web-1", &web.token).is_ok());
    assert!(admit(&policy, "db-1", &others.token).is_ok());
    assert_eq!(admit(&policy, "web-1", &others.token), Err(Denied::WrongToken));
    assert!(!format!("{web:?}").contains(&web.token));
}

#[test]
fn nothing_of_a_token_is_in_what_is_shown_for_debugging() {
    let hash = digest("hunter2hunter2");
    let policy =
        AuthPolicy { readers: Some(readers()), ..rules(&entry("a", &["hunter2hunter2"], "")) };
    let shown = format!("{policy:?} {:?}", Secret(b"hunter2hunter2"));
    assert!(!shown.contains("hunter2") && !shown.contains(&hash[7..]), "{shown}");
}

#[test]
fn a_reader_may_forget_if_its_own_entry_says_so() {
    let entry = |user: &str, token: &str, more: &str| {
        entry("x", &[token], more).replace("agent = \"x\"", &format!("user = {user:?}"))
    };
    let may = "may_forget = true";
    let entries = [
        entry("prometheus", "shared", ""),
        entry("ops", "shared", may),
        entry("admin", "own", may),
        entry("guest", "g", "may_forget = false"),
    ];
    let readers = Readers::read(file(&entries.concat()).path()).unwrap();
    for (authorization, user, may_forget) in [
        ("Bearer shared", "prometheus", false),
        (&basic("ops:shared"), "ops", true),
        (&basic("prometheus:shared"), "prometheus", false),
        ("Bearer own", "admin", true),
        ("Bearer g", "guest", false),
    ] {
        let reader = readers.allow(Some(authorization.as_bytes())).unwrap();
        assert_eq!((&*reader.user, reader.may_forget), (user, may_forget), "{authorization}");
    }
}
