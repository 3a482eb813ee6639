//! A credentials file grants ids as documented, or is refused with an error that shows no secret.
//!
//! An input is the file's text, in which `%1`, `%2` and `%3` stand for the digests of three tokens.

use fleetgauge_collector::auth::Credentials;
use fleetgauge_collector::auth::credential_id::CredentialId;
use fleetgauge_proto::AgentId;
use toml::{Table, Value};

/// Tokens and their SHA-256 digests, as written in a credentials file.
pub(crate) const TOKENS: [(&str, &str); 3] = [
    ("one", "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"),
    ("two", "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"),
    ("three", "sha256:8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f"),
];
const IDS: [&str; 5] = ["a", "ab", "abc", "b-1", "zzz"];
/// Minimum length of a text that may be a secret, in bytes.
const SECRET_BYTES: usize = 12;

/// An agent id or pattern, and its token digests; `None` if the entry has no `tokens`.
type Entry<'a> = (&'a str, Option<Vec<String>>);

/// Reads the file, with and without client certificates, and tries every token for several ids.
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
                let table = table.as_ref().expect("a file that is not TOML was accepted");
                let entries = entries(table).expect("every entry has an id");
                assert!(certified || entries.iter().all(|(_, tokens)| tokens.is_some()));
                check_grants(&credentials, certified, &entries);
                true
            }
            Err(bad) => {
                let error = bad.to_string().replace(&file.path().display().to_string(), "");
                let secrets = table.iter().flatten().flat_map(|(_, value)| tokens(value, false));
                for secret in secrets.filter(|secret| is_secret(secret, &text)) {
                    assert!(!error.contains(secret), "{error}");
                }
                false
            }
        });
    // Client certificates change the result only for files that have entries without tokens.
    let without_tokens = || {
        let entries = table.as_ref().ok().and_then(entries)?;
        Some(entries.iter().any(|(_, tokens)| tokens.is_none()))
    };
    assert!(read[0] == read[1] || (read[1] && without_tokens() == Some(true)), "{read:?}");
}

/// Whether a text is long enough to be a secret, and occurs once in the file.
fn is_secret(secret: &str, text: &str) -> bool {
    secret.len() >= SECRET_BYTES && text.matches(secret).count() == 1
}

/// Returns the strings below all keys named `tokens`.
fn tokens(value: &Value, inside: bool) -> Vec<&str> {
    match value {
        Value::String(text) if inside => vec![text],
        Value::Array(values) => values.iter().flat_map(|value| tokens(value, inside)).collect(),
        Value::Table(table) => {
            table.iter().flat_map(|(key, value)| tokens(value, inside || key == "tokens")).collect()
        }
        _ => Vec::new(),
    }
}

fn entries(table: &Table) -> Option<Vec<Entry<'_>>> {
    let listed = table.get("credential")?.as_array()?.iter();
    let read = listed.map(|one| {
        // Hex digits of both cases are equal.
        let lower = |tokens: Vec<&str>| tokens.into_iter().map(str::to_lowercase).collect();
        let tokens = one.get("tokens").map(|listed| lower(tokens(listed, true)));
        Some((one.get("agent")?.as_str()?, tokens))
    });
    read.collect()
}

/// Checks grants against "Who may report" in `docs/secure.md`. The entry with the id applies,
/// else the pattern with the longest prefix. An entry without tokens requires a client certificate.
fn check_grants(credentials: &Credentials, certified: bool, entries: &[Entry<'_>]) {
    for id in IDS {
        let named = entries.iter().find(|(agent, _)| *agent == id);
        let fits = |(agent, _): &&Entry<'_>| {
            agent.strip_suffix('*').is_some_and(|prefix| id.starts_with(prefix))
        };
        let longest = entries.iter().filter(fits).max_by_key(|(agent, _)| agent.len());
        let entry = named.or(longest).map(|(_, tokens)| tokens);
        let id = AgentId::try_new(id).unwrap();
        let no_token = ("", "");
        for (token, digest) in TOKENS.into_iter().chain([no_token]) {
            let granted = credentials.authorize(&id, token.as_bytes(), certified);
            let expected = match entry {
                None => false,
                Some(None) => certified,
                Some(Some(tokens)) => !token.is_empty() && tokens.iter().any(|one| one == digest),
            };
            assert_eq!(granted.is_ok(), expected, "{id} with {token:?}: {granted:?}");
            if let Ok(grant) = granted {
                assert_ne!(grant.credential, CredentialId::NONE);
                assert_eq!(credentials.still_pinned(&id, grant.credential), Some(&grant.pinned));
                assert!(grant.pinned.iter().all(|(_, value)| !value.is_empty()));
            }
        }
        assert_eq!(credentials.still_pinned(&id, CredentialId::NONE), None);
    }
}
