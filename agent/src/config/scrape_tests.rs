use super::super::Config;
use super::super::tests::{file, load, path};
use super::*;

/// Loads a file with an agent interval of 15 s.
fn read(text: &str) -> Result<Config, String> {
    let file = file(text);
    let prefix = format!("{}, line ", path(&file));
    load(&["--config", path(&file)], &[]).map_err(|errors| errors.replace(&prefix, ""))
}

/// Loads one table with a url, a job and these keys.
fn scrape(url: &str, keys: &str) -> Result<ScrapeSettings, String> {
    let config = read(&format!("[[scrape]]\nurl = '{url}'\njob = 'x'\n{keys}\n"))?;
    Ok(config.metrics.settings().scrapes[0].clone())
}

const HTTP: &str = "http://localhost:9100/metrics";

#[test]
fn defaults_are_those_of_prometheus() {
    let expected = ScrapeSettings {
        target: ScrapeTarget::Tcp {
            host: "localhost".into(),
            port: 9100,
            path: "/metrics".into(),
            tls: None,
        },
        job: "x".into(),
        instance: "localhost:9100".into(),
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
        labels: StaticLabels::default(),
        auth: HttpAuth::None,
        max_samples: 10_000,
        max_size: 16 << 20,
    };
    assert_eq!(scrape(HTTP, ""), Ok(expected));
}

#[test]
fn every_key_has_an_effect() {
    let scrape = scrape(
        HTTP,
        "instance = 'db'\ninterval = '1m'\ntimeout = '20s'\nmax_samples = 7\nmax_size = '1KiB'\n\
         labels = { dc = 'fra' }",
    );
    let scrape = scrape.unwrap();
    assert_eq!(&*scrape.instance, "db");
    assert_eq!((scrape.interval.as_secs(), scrape.timeout.as_secs()), (60, 20));
    assert_eq!((scrape.max_samples, scrape.max_size), (7, 1024));
    assert_eq!(scrape.labels.iter().collect::<Vec<_>>(), [("dc", "fra")]);
}

#[cfg(unix)]
#[test]
fn socket_has_a_path_of_its_own() {
    for (keys, path) in [("", "/metrics"), ("path = '/x?y'", "/x?y")] {
        let scrape = scrape("unix:///run/a.sock", keys).unwrap();
        let expected = ScrapeTarget::Unix { socket: "/run/a.sock".into(), path: path.into() };
        assert_eq!((scrape.target, &*scrape.instance), (expected, "/run/a.sock"));
    }
}

#[test]
fn timeout_is_at_most_the_interval() {
    let times = |keys| scrape(HTTP, keys).map(|scrape| (scrape.interval, scrape.timeout));
    let seconds = |interval, timeout| Ok([interval, timeout].map(Duration::from_secs).into());
    assert_eq!(times("interval = '3s'"), seconds(3, 3));
    assert_eq!(times("timeout = '20s'"), seconds(15, 15));
    assert_eq!(times("interval = '5s'\ntimeout = '5s'"), seconds(5, 5));
    let error = times("interval = '5s'\ntimeout = '5001ms'").unwrap_err();
    assert_eq!(error, "5: scrape 1: timeout: must be at most the interval of this table");
}

#[test]
fn basic_authentication_needs_both_keys() {
    let password = file("hunter2\n");
    let password_file = format!("password_file = '{}'\n", path(&password));
    let basic = scrape(HTTP, &format!("username = 'me'\n{password_file}")).unwrap().auth;
    let expected = HttpAuth::Basic { username: "me".into(), password_file: password.path().into() };
    assert_eq!(basic, expected);
    let error = scrape(HTTP, "username = 'me'").unwrap_err();
    assert!(error.starts_with("4: scrape 1: username: requires password_file;"), "{error}");
    let error = scrape(HTTP, &password_file).unwrap_err();
    assert!(error.starts_with("4: scrape 1: password_file: requires username;"), "{error}");
}

#[test]
fn bearer_token_excludes_a_user() {
    let token = file("hunter2\n");
    let token_file = format!("bearer_token_file = '{}'\n", path(&token));
    let bearer = scrape(HTTP, &token_file).unwrap().auth;
    assert_eq!(bearer, HttpAuth::Bearer { token_file: token.path().into() });
    let keys = format!("{token_file}username = 'me'\npassword_file = '{}'", path(&token));
    let error = scrape(HTTP, &keys).unwrap_err();
    let expected = "4: scrape 1: bearer_token_file: cannot be combined with username;";
    assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
}

#[test]
fn unusable_secret_file_is_an_error_of_its_key() {
    let token = file("hunter2 hunter2\n");
    let keys = format!("bearer_token_file = '{}'\n", path(&token));
    let error = scrape(HTTP, &keys).unwrap_err();
    let expected = format!("4: scrape 1: bearer_token_file: {}: the token must", path(&token));
    assert!(error.starts_with(&expected) && !error.contains("hunter2"), "{error}");
    let error = scrape(HTTP, "username = 'me'\npassword_file = '/nonexistent'").unwrap_err();
    assert!(error.starts_with("5: scrape 1: password_file: /nonexistent: cannot"), "{error}");
}

#[test]
fn tls_files_are_read_for_https() {
    let made = rcgen::generate_simple_self_signed(["exporter".to_owned()]).unwrap();
    let [ca, key] = [made.cert.pem(), made.signing_key.serialize_pem()].map(|pem| file(&pem));
    let keys = format!(
        "tls_ca = '{0}'\ntls_certificate = '{0}'\ntls_key = '{1}'\ntls_server_name = 'exporter'",
        path(&ca),
        path(&key)
    );
    let ScrapeTarget::Tcp { port, tls: Some(tls), .. } =
        scrape("https://localhost/metrics", &keys).unwrap().target
    else {
        panic!("no TLS")
    };
    assert_eq!((port, tls.ca.as_deref()), (443, Some(ca.path())));
    assert_eq!(tls.identity.unwrap().key, key.path());
    assert_eq!(tls.server_name.unwrap().to_str(), "exporter");
}

#[test]
fn unusable_tls_file_is_an_error_of_its_key() {
    let junk = file("junk");
    let error = scrape("https://localhost/", &format!("tls_ca = '{}'", path(&junk))).unwrap_err();
    let expected = format!("4: scrape 1: tls_ca: {} has no PEM certificate", path(&junk));
    assert!(error.starts_with(&expected), "{error}");
    let error = scrape("https://localhost/", "tls_key = '/nonexistent'").unwrap_err();
    assert!(error.contains("4: scrape 1: tls_key: requires tls_certificate;"), "{error}");
    let error = scrape("https://localhost/", "tls_server_name = 'a b'").unwrap_err();
    assert!(error.contains("tls_server_name: must be a host name or an IP address"), "{error}");
}

#[test]
fn keys_that_do_not_fit_the_url_are_errors() {
    for (url, keys, expected) in [
        (HTTP, "tls_ca = '/x'", "4: scrape 1: tls_ca: requires an https:// url;"),
        ("unix:///x", "tls_server_name = 'x'", "4: scrape 1: tls_server_name: requires an https"),
        (HTTP, "path = '/x'", "4: scrape 1: path: is only for a unix:// url;"),
    ] {
        let error = scrape(url, keys).unwrap_err();
        assert!(error.starts_with(expected), "{expected}: {error}");
    }
}

#[test]
fn invalid_labels_are_errors_of_the_table() {
    for (labels, expected) in [
        ("job = 'x'", "label name \"job\" is reserved for the collector or Prometheus"),
        ("__x = 'x'", "label name \"__x\" is reserved"),
        ("'a-b' = 'x'", "the name must be a letter or _"),
        ("a = 5", "must be a quoted string"),
    ] {
        let error = scrape(HTTP, &format!("labels = {{ {labels} }}")).unwrap_err();
        assert!(error.starts_with("4: scrape 1: labels: "), "{error}");
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let many: Vec<_> = (0..33).map(|n| format!("l{n} = 'x'")).collect();
    let error = scrape(HTTP, &format!("labels = {{ {} }}", many.join(", "))).unwrap_err();
    assert_eq!(error, "4: scrape 1: labels: 33 labels; at most 32 are allowed");
}

#[test]
fn all_errors_of_all_tables_are_reported() {
    let error = read(
        "[[scrape]]\nurl = 'http://me:hunter2@localhost/'\njob = ''\n\n\
         [[scrape]]\ninterval = '0s'\npassword = 'hunter2'\n\n\
         [[scrape]]\nurl = 'http://localhost/m'\njob = 'x'\nusername = 'me'\ntls_key = 'x'\n",
    );
    let error = error.unwrap_err();
    for expected in [
        "2: scrape 1: url: must not have a user; set username and password_file",
        "3: scrape 1: job: must not be empty",
        "5: scrape 2: url: is required; add url = \"URL\"",
        "5: scrape 2: job: is required; add job = \"NAME\"",
        "6: scrape 2: interval: must be between 1s and 1h",
        "7: scrape 2: password: put the secret into a file and name it with password_file",
        "12: scrape 3: username: requires password_file; set password_file too",
        "13: scrape 3: tls_key: requires an https:// url; change url, or remove it",
    ] {
        assert!(error.lines().any(|line| line.starts_with(expected)), "{expected}: {error}");
    }
    assert_eq!(error.lines().count(), 8, "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn exporters_with_the_same_series_are_an_error() {
    let table = |extra: &str| format!("[[scrape]]\nurl = '{HTTP}'\njob = 'x'\n{extra}\n");
    let error = read(&(table("") + &table(""))).unwrap_err();
    let expected = "7: scrape 2: job: is the same as in scrape 1, and so are instance and labels";
    assert!(error.starts_with(expected), "{error}");
    for extra in ["instance = 'y'", "labels = { a = 'b' }"] {
        assert_eq!(read(&(table("") + &table(extra))).unwrap().metrics.settings().scrapes.len(), 2);
    }
}

#[test]
fn number_of_exporters_is_limited() {
    let tables = |count: usize| -> String {
        (0..count).map(|n| format!("[[scrape]]\nurl = '{HTTP}'\njob = 'job{n}'\n")).collect()
    };
    assert_eq!(read(&tables(MAX_SCRAPES)).unwrap().metrics.settings().scrapes.len(), MAX_SCRAPES);
    let error = read(&tables(MAX_SCRAPES + 1)).unwrap_err();
    assert_eq!(error, "1: scrape: has 65 tables; at most 64 are allowed");
}

#[test]
fn label_values_have_a_maximum_length() {
    scrape(HTTP, &format!("instance = '{}'", "x".repeat(1024))).unwrap();
    let error = scrape(HTTP, &format!("instance = '{}'", "x".repeat(1025))).unwrap_err();
    assert_eq!(error, "4: scrape 1: instance: has 1025 bytes; at most 1024 are allowed");
}

#[test]
fn debug_output_has_no_path() {
    let mut shown = format!("{:?}", scrape("http://localhost:9100/m?token=hunter2", "").unwrap());
    assert!(shown.contains("localhost") && !shown.contains("hunter2"), "{shown}");
    if cfg!(unix) {
        let scrape = scrape("unix:///run/a.sock", "path = '/m?token=hunter2'").unwrap();
        shown = format!("{scrape:?}");
        assert!(shown.contains("a.sock") && !shown.contains("hunter2"), "{shown}");
    }
}
