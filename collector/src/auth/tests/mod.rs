mod files;
mod rights;

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

/// An entry of a credentials file for this agent id or pattern, with these tokens. `more` is TOML
/// text with other keys.
fn entry(agent: &str, tokens: &[&str], more: &str) -> String {
    let tokens: Vec<_> = tokens.iter().map(|token| digest(token)).collect();
    format!("[[credential]]\nagent = {agent:?}\ntokens = {tokens:?}\n{more}\n")
}

/// The policy that a credentials file with this text makes when it replaces `before`.
fn after(text: &str, before: &AuthPolicy) -> AuthPolicy {
    let agents = Credentials::read(file(text).path(), false, before.agents.as_ref()).unwrap();
    AuthPolicy { agents: Some(agents), ..AuthPolicy::default() }
}

fn policy(text: &str) -> AuthPolicy {
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

/// Label names of an agent without labels.
fn no_labels() -> std::iter::Empty<&'static str> {
    std::iter::empty()
}

fn problem(text: &str) -> String {
    let file = file(text);
    let problem = Credentials::read(file.path(), false, None).unwrap_err().to_string();
    problem.strip_prefix(&*file.path().to_string_lossy()).unwrap().to_owned()
}

#[test]
fn token_allows_only_its_own_id() {
    let policy = policy(&(entry("web-1", &["one"], "") + &entry("web-2", &["two"], "")));
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
fn without_credentials_every_id_is_allowed() {
    let policy = AuthPolicy::default();
    assert_eq!(
        policy.authorize(&id("web-1"), PresentedCredentials::default()),
        Ok(Grant::default())
    );
    assert_eq!(admit(&policy, "web-1", "anything"), Ok(Grant::default()));
    assert!(policy.still_allows(&id("web-1"), CredentialId::NONE, no_labels()));
    // A previous policy pinned its labels.
    assert!(!policy.still_allows(&id("web-1"), CredentialId::from_u32(1), no_labels()));
}

#[test]
fn most_specific_entry_decides() {
    let policy = policy(
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
fn entry_without_tokens_denies_the_shared_token() {
    let policy = policy(&(entry("*", &["all"], "") + &entry("old", &[], "")));
    assert!(admit(&policy, "new", "all").is_ok());
    assert_eq!(admit(&policy, "old", "all"), Err(Denied::UnknownAgent));
}

#[test]
fn two_tokens_are_valid_during_a_rotation() {
    let first = policy(&entry("web-1", &["old"], ""));
    let credential = |policy: &AuthPolicy, token| admit(policy, "web-1", token).unwrap().credential;
    let both = after(&entry("web-1", &["old", "new"], ""), &first);
    assert_eq!(credential(&both, "old"), credential(&first, "old"));
    assert_ne!(credential(&both, "old"), credential(&both, "new"));
    let last = after(&entry("web-1", &["new"], ""), &both);
    assert_eq!(credential(&last, "new"), credential(&both, "new"));
    assert_eq!(admit(&last, "web-1", "old"), Err(Denied::WrongToken));
    assert!(last.still_allows(&id("web-1"), credential(&both, "new"), no_labels()));
    assert!(!last.still_allows(&id("web-1"), credential(&both, "old"), no_labels()));
    // A credential that is added again is a new one.
    let back = after(&entry("web-1", &["new", "old"], ""), &last);
    assert!(!back.still_allows(&id("web-1"), credential(&first, "old"), no_labels()));
}

#[test]
fn agent_without_credential_is_denied_once_credentials_are_required() {
    assert!(!policy(&entry("web-1", &["one"], "")).still_allows(
        &id("web-1"),
        CredentialId::NONE,
        no_labels()
    ));
}

#[test]
fn new_specific_entry_revokes_the_shared_token() {
    let collector = policy(&entry("*", &["all"], ""));
    let credential = admit(&collector, "web-1", "all").unwrap().credential;
    let own = after(&(entry("*", &["all"], "") + &entry("web-1", &["own"], "")), &collector);
    assert!(own.still_allows(&id("web-2"), credential, no_labels()));
    assert!(!own.still_allows(&id("web-1"), credential, no_labels()));
}

#[test]
fn changed_pinned_labels_revoke_the_credential() {
    let fra = policy(&entry("web-1", &["one"], "labels = { site = 'fra' }"));
    let grant = admit(&fra, "web-1", "one").unwrap();
    assert_eq!(grant.pinned.iter().collect::<Vec<_>>(), [("site", "fra")]);
    let ams = after(&entry("web-1", &["one"], "labels = { site = 'ams' }"), &fra);
    assert!(!ams.still_allows(&id("web-1"), grant.credential, no_labels()));
}

#[test]
fn session_with_labels_no_longer_allowed_is_denied() {
    let pinned = entry("web-1", &["one"], "labels = { site = 'fra' }");
    let mut policy = policy(&pinned);
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
fn credentials_restored_after_a_removal_are_new() {
    let of = |token, before: &AuthPolicy| after(&entry("web-1", &[token], ""), before);
    let credential = admit(&of("one", &AuthPolicy::default()), "web-1", "one").unwrap().credential;
    // The policy in between has no credentials.
    let back = of("two", &AuthPolicy::default());
    assert!(!back.still_allows(&id("web-1"), credential, no_labels()));
}

/// The credentials in a file with this text, when certificates are required and `before` is
/// replaced.
fn certified(text: &str, before: Option<&Credentials>) -> Credentials {
    Credentials::read(file(text).path(), true, before).unwrap()
}

/// An entry without tokens: the agents' certificates are sufficient. It pins the label `site`.
fn by_certificate(agent: &str, site: &str) -> String {
    format!("[[credential]]\nagent = {agent:?}\nlabels = {{ site = {site:?} }}\n")
}

#[test]
fn certificate_is_sufficient_for_an_entry_without_tokens() {
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
fn certificate_stays_sufficient_until_its_entry_changes() {
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
fn only_allowed_labels_can_be_set() {
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

/// The users in a file with two entries.
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
fn readers_authenticate_with_bearer_or_basic() {
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

/// The digest of such a long blank token is not recognized in a file. The token itself is rejected.
#[test]
fn blank_token_is_invalid_even_with_its_digest() {
    let blank = " ".repeat(64);
    let agents = policy(&entry("a", &[&blank], ""));
    assert_eq!(admit(&agents, "a", &blank), Err(Denied::NoCredential));
    let agents = certified(&entry("a", &[&blank], ""), None);
    assert_eq!(agents.authorize(&id("a"), blank.as_bytes(), true), Err(Denied::NoCredential));
    let user = entry("a", &[&blank], "").replace("agent = ", "user = ");
    let readers = Readers::read(file(&user).path()).unwrap();
    let shown = basic(&format!("a:{blank}"));
    assert_eq!(readers.allow(Some(shown.as_bytes())), Err(ReadDenied::Wrong));
}

#[test]
fn new_token_matches_its_entry() {
    let names = ["prometheus", "a \"quoted\" \\ name", "J\u{fc}rgen\u{200b}"];
    for name in names {
        let new = NewToken::for_user(name).unwrap();
        let readers = Readers::read(file(&new.entry).path()).unwrap();
        for shown in [format!("Bearer {}", new.token), basic(&format!("{name}:{}", new.token))] {
            assert!(readers.allow(Some(shown.as_bytes())).is_ok(), "{}", new.entry);
        }
    }
    let [web, others] = ["web-1", "*"].map(|agent| NewToken::for_agent(agent).unwrap());
    // Appended to a file whose last line has no line end.
    let policy = policy(&format!("# agents{}# others{}", web.entry, others.entry));
    assert!(admit(&policy, "web-1", &web.token).is_ok());
    assert!(admit(&policy, "db-1", &others.token).is_ok());
    assert_eq!(admit(&policy, "web-1", &others.token), Err(Denied::WrongToken));
    assert!(!format!("{web:?}").contains(&web.token));
}

#[test]
fn debug_output_has_no_secrets() {
    let hash = digest("hunter2hunter2");
    let policy =
        AuthPolicy { readers: Some(readers()), ..policy(&entry("a", &["hunter2hunter2"], "")) };
    let shown = format!("{policy:?} {:?}", Secret(b"hunter2hunter2"));
    assert!(!shown.contains("hunter2") && !shown.contains(&hash[7..]), "{shown}");
}
