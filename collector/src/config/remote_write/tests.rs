use std::io::Write;

use tempfile::NamedTempFile;

use super::super::{Config, Flags};
use super::*;

const URL: &str = "http://localhost:9090/api/v1/write";

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

/// Loads a settings file. The error has `LINE: PROBLEM` for each invalid setting.
fn read(text: &str) -> Result<Config, String> {
    let file = file(text);
    let prefix = format!("{}, line ", path(&file));
    let config = Config::try_new(Flags::default().with("config", path(&file)));
    config.map_err(|errors| errors.to_string().replace(&prefix, ""))
}

/// Loads one table with a url and these keys.
fn destination(url: &str, keys: &str) -> Result<DestinationSettings, String> {
    let config = read(&format!("[[remote_write]]\nurl = '{url}'\n{keys}\n"))?;
    Ok(config.remote_write[0].clone())
}

/// Returns the error of one table.
fn error(url: &str, keys: &str) -> String {
    destination(url, keys).unwrap_err()
}

#[test]
fn url_alone_is_enough() {
    let settings = destination(URL, "").unwrap();
    let expected = DestinationSettings {
        name: "localhost:9090".into(),
        url: checks::url(URL).unwrap(),
        tls: None,
        auth: HttpAuth::None,
        headers: HeaderMap::new(),
        protocol: Protocol::V1,
        compression: Compression::Auto,
        rules: Arc::default(),
        durable: true,
        out_of_order: false,
        lanes: 4,
        max_samples: 10_000,
        max_queue_bytes: 64 << 20,
        flush_delay: Duration::from_millis(250),
        timeout: Duration::from_secs(30),
        max_age: Duration::from_secs(6 * 3600),
        metadata_interval: Duration::from_secs(60),
        own_metrics: false,
        own_instance: None,
    };
    assert_eq!(settings, expected);
    assert!(read("").unwrap().remote_write.is_empty());
}

#[test]
fn every_key_has_an_effect() {
    let keys = "name = 'mimir'\nprotocol = '1.0'\ncompression = 'snappy'\n\
        headers = { X-Scope-OrgID = 'fleet', x-a = 'b c' }\n\
        durable = false\nout_of_order = true\nagent_up = false\nlanes = 64\nmax_samples = 7\n\
        max_queue = '2MiB'\nflush_delay = '5ms'\ntimeout = '7s'\nmax_age = '1h'\n\
        metadata_interval = '5m'\nown_metrics = true\nown_instance = 'c-1'";
    let settings = destination(URL, keys).unwrap();
    assert_eq!((&*settings.name, settings.compression), ("mimir", Compression::Snappy));
    assert_eq!(settings.headers["x-scope-orgid"], "fleet");
    assert_eq!(settings.headers["x-a"], "b c");
    let switches = (settings.durable, settings.out_of_order, settings.rules.agent_up());
    assert_eq!(switches, (false, true, false));
    let numbers = (settings.lanes, settings.max_samples, settings.max_queue_bytes);
    assert_eq!(numbers, (64, 7, 2 << 20));
    assert_eq!(settings.flush_delay, Duration::from_millis(5));
    assert_eq!((settings.own_metrics, settings.own_instance.as_deref()), (true, Some("c-1")));
    let seconds = [settings.timeout, settings.max_age, settings.metadata_interval];
    assert_eq!(seconds.map(|time| time.as_secs()), [7, 3600, 300]);
    let zstd = destination(URL, "compression = 'zstd'").unwrap();
    assert_eq!(zstd.compression, Compression::Zstd);
}

#[test]
fn remote_write_2_has_snappy_only() {
    for keys in ["protocol = '2.0'", "protocol = '2.0'\ncompression = 'snappy'"] {
        let settings = destination(URL, keys).unwrap();
        let expected = (Protocol::V2, Compression::Snappy);
        assert_eq!((settings.protocol, settings.compression), expected);
    }
    let error = error(URL, "protocol = '2.0'\ncompression = 'zstd'");
    assert!(error.contains("compression: must be auto or snappy"), "{error}");
}

#[test]
fn rules_are_lists_and_tables() {
    let keys = "keep_metrics = ['node_*', 'up']\ndrop_metrics = ['*_bucket']\n\
        drop_labels = ['rack']\n\
        [remote_write.external_labels]\nreplica = 'a=b, c'\ncluster = 'main'\n\
        [remote_write.rename_metrics]\nold = 'new:x'\n\
        [remote_write.rename_labels]\ndc = 'region'";
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(one, two)| ((*one).to_owned(), (*two).to_owned())).collect()
    };
    let expected = RuleSet {
        external_labels: pairs(&[("cluster", "main"), ("replica", "a=b, c")]),
        keep_metrics: vec!["node_*".to_owned(), "up".to_owned()],
        drop_metrics: vec!["*_bucket".to_owned()],
        rename_metrics: pairs(&[("old", "new:x")]),
        drop_labels: vec!["rack".to_owned()],
        rename_labels: pairs(&[("dc", "region")]),
        agent_up: true,
    };
    let expected = Rules::try_new(&expected).unwrap();
    assert_eq!(*destination(URL, keys).unwrap().rules, expected);
}

#[test]
fn invalid_values_are_errors_of_their_key() {
    for (keys, expected) in [
        ("name = ''", "name: must not be empty"),
        ("name = \"a\\nb\"", "name: must not have control characters"),
        ("protocol = '3.0'", "protocol: must be 1.0 or 2.0"),
        ("protocol = 1", "protocol: must be a quoted string"),
        ("compression = 'gzip'", "compression: must be auto, snappy or zstd"),
        ("headers = { Authorization = 'hunter2' }", "headers: must not have authorization; set"),
        ("headers = { Content-Type = 'hunter2' }", "headers: must not have content-type; the"),
        ("headers = { content-foo = 'hunter2' }", "headers: must not have content-foo; the"),
        ("headers = { HOST = 'hunter2' }", "headers: must not have host; the collector sets"),
        ("headers = { 'a b' = 'hunter2' }", "headers: the name must have only letters"),
        ("headers = { a = \"hunter2\\r\\nx: y\" }", "headers: the value must have only visible"),
        ("headers = { a = ' hunter2' }", "headers: the value must have only visible ASCII"),
        ("headers = { X-A = '1', x-a = '2' }", "headers: has x-a twice; names do not differ by"),
        ("external_labels = { agent = 'x' }", "external_labels: must not change the label agent"),
        ("external_labels = { __x = 'x' }", "external_labels: must be a letter or _"),
        ("external_labels = { a = '' }", "external_labels: the value must not be empty"),
        ("external_labels = { a = 1 }", "external_labels: must be a quoted string"),
        ("keep_metrics = 'up'", "keep_metrics: must be a list of strings"),
        ("keep_metrics = ['up', 'a-b']", "keep_metrics: must be the name of a metric, in which *"),
        ("keep_metrics = ['']", "keep_metrics: must be the name of a metric"),
        ("drop_metrics = ['node_(cpu|memory)']", "drop_metrics: must be the name of a metric"),
        ("rename_metrics = { a = 'b*' }", "rename_metrics: must be OLD = \"NEW\""),
        ("drop_labels = ['agent']", "drop_labels: must not change the label agent"),
        ("drop_labels = ['__name__']", "drop_labels: must be a letter or _"),
        ("rename_labels = { agent = 'host' }", "rename_labels: must not change the label agent"),
        ("rename_labels = { host = 'agent' }", "rename_labels: the new name: must not change the"),
        ("durable = 'yes'", "durable: must be true or false, without quotes"),
        ("lanes = 65", "lanes: must be between 1 and 64"),
        ("lanes = 0", "lanes: must be between 1 and 64"),
        ("max_samples = 0", "max_samples: must be between 1 and 1048576"),
        ("max_queue = '1KiB'", "max_queue: must be between 1MiB and 64GiB"),
        ("flush_delay = '0s'", "flush_delay: must be between 1ms and 1m"),
        ("timeout = '0s'", "timeout: must be between 1s and 10m"),
        ("max_age = '1s'", "max_age: must be between 1m and 30d"),
        ("metadata_interval = '1s'", "metadata_interval: must be between 10s and 1d"),
        ("write_relabel_configs = []", "write_relabel_configs: use keep_metrics, drop_metrics"),
        ("remote_timeout = '1s'", "remote_timeout: the name of this key is timeout"),
        ("bearer_token = 'hunter2'", "bearer_token: put the secret into a file and name it"),
        ("lane = 5", "lane: unknown key; did you mean lanes?"),
    ] {
        let error = error(URL, keys);
        let expected = format!("3: remote_write 1: {expected}");
        assert!(error.starts_with(&expected), "{expected}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert_eq!(
        read("[[remote_write]]\n").unwrap_err(),
        "1: remote_write 1: url: is required; add url = \"URL\""
    );
}

#[test]
fn invalid_urls_are_errors_without_the_url() {
    for (url, expected) in [
        ("localhost:9090", "must be http:// or https://, such as http://localhost:9090/api/v1"),
        ("unix:///run/hunter2", "must be http:// or https://"),
        ("http://me:hunter2@a/w", "must not have a user; set username and password_file"),
        ("http://a", "must have a path after the host, such as http://localhost:9090/api/v1/wri"),
        ("http://a:0/hunter2", "has an invalid host or port; write it as in http://localhost"),
        ("http://a/hunter2 x", "must have only visible ASCII in its path"),
    ] {
        let error = error(url, "");
        let expected = format!("2: remote_write 1: url: {expected}");
        assert!(error.starts_with(&expected) && !error.contains("hunter2"), "{url}: {error}");
    }
}

#[test]
fn user_and_token_exclude_each_other() {
    let secret = file("hunter2\n");
    let (password, token) = (
        format!("username = 'me'\npassword_file = '{}'\n", path(&secret)),
        format!("bearer_token_file = '{}'\n", path(&secret)),
    );
    let basic = HttpAuth::Basic { username: "me".into(), password_file: secret.path().into() };
    assert_eq!(destination(URL, &password).unwrap().auth, basic);
    let bearer = HttpAuth::Bearer { token_file: secret.path().into() };
    assert_eq!(destination(URL, &token).unwrap().auth, bearer);
    let both = error(URL, &(token + &password));
    let expected = "3: remote_write 1: bearer_token_file: cannot be combined with username;";
    assert!(both.starts_with(expected), "{both}");
    let alone = error(URL, "username = 'me'");
    assert!(alone.starts_with("3: remote_write 1: username: requires password_file;"), "{alone}");
    let absent = error(URL, "bearer_token_file = '/nonexistent'");
    let expected = "3: remote_write 1: bearer_token_file: /nonexistent: cannot be read";
    assert!(absent.starts_with(expected), "{absent}");
}

#[test]
fn tls_files_are_read_for_https() {
    let made = rcgen::generate_simple_self_signed(["engine".to_owned()]).unwrap();
    let [ca, key] = [made.cert.pem(), made.signing_key.serialize_pem()].map(|pem| file(&pem));
    let keys = format!(
        "tls_ca = '{0}'\ntls_certificate = '{0}'\ntls_key = '{1}'\ntls_server_name = 'engine'",
        path(&ca),
        path(&key)
    );
    let settings = destination("https://localhost/w", &keys).unwrap();
    assert_eq!((&*settings.name, settings.url.endpoint().port()), ("localhost", 443));
    let tls = settings.tls.unwrap();
    assert_eq!(tls.ca.as_deref(), Some(ca.path()));
    assert_eq!(tls.identity.unwrap().key, key.path());
    assert_eq!(tls.server_name.unwrap().to_str(), "engine");
    for (url, keys, expected) in [
        (URL, "tls_ca = '/x'", "tls_ca: requires an https:// url; change url"),
        ("https://a/w", "tls_key = '/x'", "tls_key: requires tls_certificate;"),
        ("https://a/w", "tls_ca = '/nonexistent'", "tls_ca: /nonexistent: cannot be read"),
        ("https://a/w", "tls_server_name = 'a b'", "tls_server_name: must be a host name or an"),
    ] {
        let error = error(url, keys);
        assert!(error.contains(&format!("3: remote_write 1: {expected}")), "{expected}: {error}");
    }
}

#[test]
fn names_of_destinations_are_unique() {
    let table = |keys: &str| format!("[[remote_write]]\nurl = '{URL}'\n{keys}\n");
    let error = read(&(table("") + &table(""))).unwrap_err();
    assert_eq!(
        error,
        "4: remote_write 2: name: is the same as in remote_write 1; set another name"
    );
    let config = read(&(table("") + &table("name = 'b'"))).unwrap();
    assert_eq!(config.remote_write.len(), 2);
}

#[test]
fn numbers_of_destinations_headers_and_rules_are_limited() {
    let tables = |count: usize| -> String {
        (0..count).map(|n| format!("[[remote_write]]\nurl = 'http://a:{}/'\n", n + 1)).collect()
    };
    assert_eq!(read(&tables(MAX_DESTINATIONS)).unwrap().remote_write.len(), MAX_DESTINATIONS);
    let many = read(&tables(MAX_DESTINATIONS + 1)).unwrap_err();
    assert_eq!(many, "1: remote_write: has 9 tables; at most 8 are allowed");
    let headers = |count: usize| {
        let entries: Vec<_> = (0..count).map(|n| format!("h{n} = 'x'")).collect();
        format!("headers = {{ {} }}", entries.join(", "))
    };
    assert_eq!(destination(URL, &headers(32)).unwrap().headers.len(), 32);
    let many = error(URL, &headers(33));
    assert_eq!(many, "3: remote_write 1: headers: has 33 headers; at most 32 are allowed");
    for (key, max, entry) in [
        ("external_labels", 32, "# = 'x#'"),
        ("keep_metrics", 64, "'#'"),
        ("drop_metrics", 64, "'#'"),
        ("rename_metrics", 64, "# = 'x#'"),
        ("drop_labels", 64, "'#'"),
        ("rename_labels", 64, "# = 'x#'"),
    ] {
        let list = |count: usize| {
            let entries = (0..count).map(|n| entry.replace('#', &format!("m{n}")));
            let entries = entries.collect::<Vec<_>>().join(", ");
            match entry.contains('=') {
                true => format!("{key} = {{ {entries} }}"),
                false => format!("{key} = [{entries}]"),
            }
        };
        destination(URL, &list(max)).unwrap();
        let many = error(URL, &list(max + 1));
        let expected = format!("remote_write 1: {key}: at most {max} entries are allowed");
        assert!(many.ends_with(&expected), "{many}");
    }
}

#[test]
fn neither_debug_nor_check_shows_secrets() {
    let config =
        read("[[remote_write]]\nurl = 'http://a/w?key=5'\nheaders = { X-Key = 'hunter2' }\n");
    let config = config.unwrap();
    let [shown, printed] = [format!("{:?}", config.remote_write), config.effective.to_string()];
    assert!(!shown.contains("hunter2") && !shown.contains("key=5"), "{shown}");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("headers is set and not shown"), "{printed}");
}

#[test]
fn change_requires_a_restart() {
    let before = read(&format!("[[remote_write]]\nurl = '{URL}'\n")).unwrap();
    let after = read(&format!("[[remote_write]]\nurl = '{URL}'\nlanes = 5\n")).unwrap();
    let changed = before.effective.restart_required(&after.effective);
    // Each file has a name of its own.
    assert_eq!(changed, ["config", "remote_write"]);
}
