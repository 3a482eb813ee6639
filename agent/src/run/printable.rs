//! Text that a collector can cause, made fit for a log line.

/// Most bytes of such a text in a log line: enough for a sentence and a path.
pub(super) const MAX_LOGGED_BYTES: usize = 512;

/// The beginning of `text`, without what would break a line or drive a terminal.
pub(super) fn printable(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    let mut logged = String::new();
    for character in text.chars() {
        let plain = character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric();
        let character = if plain { character } else { '?' };
        if logged.len() + character.len_utf8() > MAX_LOGGED_BYTES {
            logged.push_str("...");
            break;
        }
        logged.push(character);
    }
    logged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_paths_stay() {
        for text in ["rejected, id_conflict: \"taken\"", "/etc/zertifikäte/ca.pem (tls_ca)", ""] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn control_characters_and_directions_do_not() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}c"), "a?[2J?b?c");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for text in ["x".repeat(100_000), "ä".repeat(100_000), "\u{1b}".repeat(100_000)] {
            let logged = printable(&text);
            assert!(logged.len() <= MAX_LOGGED_BYTES + 3 && logged.ends_with("..."), "{logged}");
        }
        assert_eq!(printable("y".repeat(MAX_LOGGED_BYTES)).len(), MAX_LOGGED_BYTES);
    }
}
