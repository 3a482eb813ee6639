//! A file of credentials gives each id to whom the document says, or is refused without a word of
//! what is in it.
//!
//! An input is the file's text, in which `%1`, `%2` and `%3` stand for the digests of three tokens.

use fleetgauge_collector::auth::Credentials;
use fleetgauge_collector::auth::credential_id::CredentialId;
use fleetgauge_proto::AgentId;
use toml::{Table, Value};

/// Tokens and their SHA-256.
pub(crate) const TOKENS: [(&str, &str); 3] = [
    ("one", "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"),
    ("two", "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"),
    ("three", "sha256:8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f"),
];
const IDS: [&str; 5] = ["a", "ab", "abc", "b-1", "zzz"];
/// What is in a file for so long may be a secret in a wrong place.
const SECRET_BYTES: usize = 12;

/// An id or a pattern, and its tokens; `None`: it says nothing of tokens.
type Entry<'a> = (&'a str, Option<Vec<String>>);

/// Reads the file, where agents show certificates and where they do not, and tries every token for
/// some ids.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let digests = TOKENS.iter().zip(["%1", "%2", "%3"]);
    let text =
        digests.fold(text.to_owned(), |text, ((_, digest), place)| text.replace(place, digest));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, &text).unwrap();
    let table = text.parse::<Table>();
    let read =
        [false, true].map(|certified| match Credentials::read(file.path(), certified, None) {
            Ok(credentials) => {
                let table = table.as_ref().expect("what is not TOML is refused");
                let entries = entries(table).expect("each has an id");
                assert!(certified || entries.iter().all(|(_, tokens)| tokens.is_some()));
                check_grants(&credentials, certified, &entries);
                true
            }
            Err(bad) => {
                let said = bad.to_string().replace(&file.path().display().to_string(), "");
                let secrets = table.iter().flatten().flat_map(|(_, value)| tokens(value, false));
                for secret in secrets.filter(|secret| is_secret(secret, &text)) {
                    assert!(!said.contains(secret), "{said}");
                }
                false
            }
        });
    // Certificates make entries without tokens legal, and nothing else.
    let without_tokens = || {
        let entries = table.as_ref().ok().and_then(entries)?;
        Some(entries.iter().any(|(_, tokens)| tokens.is_none()))
    };
    assert!(read[0] == read[1] || (read[1] && without_tokens() == Some(true)), "{read:?}");
}

/// Whether a text is long enough to be a secret, and stands nowhere else in the file.
fn is_secret(secret: &str, text: &str) -> bool {
    secret.len() >= SECRET_BYTES && text.matches(secret).count() == 1
}

/// What stands in lists of tokens.
fn tokens(value: &Value, here: bool) -> Vec<&str> {
    match value {
        Value::String(text) if here => vec![text],
        Value::Array(values) => values.iter().flat_map(|value| tokens(value, here)).collect(),
        Value::Table(table) => {
            table.iter().flat_map(|(key, value)| tokens(value, here || key == "tokens")).collect()
        }
        _ => Vec::new(),
    }
}

fn entries(table: &Table) -> Option<Vec<Entry<'_>>> {
    let listed = table.get("credential")?.as_array()?.iter();
    let read = listed.map(|one| {
        // Digits of either case are the same number.
        let lower = |tokens: Vec<&str>| tokens.into_iter().map(str::to_lowercase).collect();
        let tokens = one.get("tokens").map(|listed| lower(tokens(listed, true)));
        Some((one.get("agent")?.as_str()?, tokens))
    });
    read.collect()
}

/// `docs/secure.md`, "Who may report": the entry that names the id decides, else the longest
/// beginning. One without tokens lets in whoever has the certificate; where agents show none, they
/// have none that is right.
fn check_grants(credentials: &Credentials, certified: bool, entries: &[Entry<'_>]) {
    for id in IDS {
        let named = entries.iter().find(|(agent, _)| *agent == id);
        let fits = |(agent, _): &&Entry<'_>| {
            agent.strip_suffix('*').is_some_and(|beginning| id.starts_with(beginning))
        };
        let longest = entries.iter().filter(fits).max_by_key(|(agent, _)| agent.len());
        let decides = named.or(longest).map(|(_, tokens)| tokens);
        let id = AgentId::try_new(id).unwrap();
        let nothing = ("", "");
        for (token, digest) in TOKENS.into_iter().chain([nothing]) {
            let given = credentials.authorize(&id, token.as_bytes(), certified);
            let expected = match decides {
                None => false,
                Some(None) => certified,
                Some(Some(tokens)) => !token.is_empty() && tokens.iter().any(|one| one == digest),
            };
            assert_eq!(given.is_ok(), expected, "{id} by {token:?}: {given:?}");
            if let Ok(grant) = given {
                assert_ne!(grant.credential, CredentialId::NONE);
                assert_eq!(credentials.still_pinned(&id, grant.credential), Some(&grant.pinned));
                assert!(grant.pinned.iter().all(|(_, value)| !value.is_empty()));
            }
        }
        assert_eq!(credentials.still_pinned(&id, CredentialId::NONE), None);
    }
}
