//! Tests of the declarations as a whole.

use super::*;

#[test]
fn common_list_of_names_is_complete() {
    let declared: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(declared, names::COLLECTOR);
}

#[test]
fn help_is_short_and_without_full_stop() {
    for setting in &SETTINGS {
        assert!(setting.help.len() <= 64 && !setting.help.ends_with('.'), "{}", setting.name);
        assert!(setting.details.is_empty() || setting.details.ends_with('.'));
    }
}
