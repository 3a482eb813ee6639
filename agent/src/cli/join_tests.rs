use super::with_collectors;

fn changed(text: &str) -> String {
    with_collectors(text, &["c:1".to_owned()])
}

#[test]
fn commented_default_is_replaced() {
    let before = "# The collectors.\n#collector = [\"127.0.0.1:45678\"]\n\n#id = \"x\"\n";
    assert_eq!(changed(before), "# The collectors.\ncollector = [\"c:1\"]\n\n#id = \"x\"\n");
}

#[test]
fn setting_in_force_is_replaced_and_not_its_comment() {
    let before = "#collector = [\"a:1\"]\ncollector = \"b:1\"\nid = \"x\"\n";
    assert_eq!(changed(before), "#collector = [\"a:1\"]\ncollector = [\"c:1\"]\nid = \"x\"\n");
}

#[test]
fn key_of_a_table_and_longer_names_are_not_the_setting() {
    let before = "collectors = \"default\"\n[labels]\ncollector = \"x\"\n";
    assert_eq!(changed(before), format!("collector = [\"c:1\"]\n{before}"));
}

#[test]
fn several_collectors_become_a_list() {
    let both = with_collectors("", &["a:1".to_owned(), "srv+_f._tcp.b".to_owned()]);
    assert_eq!(both, "collector = [\"a:1\", \"srv+_f._tcp.b\"]\n");
}
