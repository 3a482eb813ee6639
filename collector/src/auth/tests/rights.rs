//! Rights of HTTP users.

use super::*;

#[test]
fn rights_are_read_from_the_users_own_entry() {
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
        assert!(!reader.may_drain, "one right does not imply the other");
    }
    let entries = entry("mover", "m", "may_drain = true");
    let readers = Readers::read(file(&entries).path()).unwrap();
    let mover = readers.allow(Some(b"Bearer m")).unwrap();
    assert_eq!((mover.may_drain, mover.may_forget), (true, false));
}
