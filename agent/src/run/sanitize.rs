//! Sanitizes untrusted text for log lines.

/// Maximum length of untrusted text in a log line, in bytes: enough for a sentence and a path.
pub(super) const MAX_LOGGED_BYTES: usize = 512;

/// Returns the start of `text`, with `?` for control characters and other characters that could
/// break a line or control a terminal.
pub(super) fn sanitize(text: impl std::fmt::Display) -> String {
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
    fn words_and_paths_are_unchanged() {
        for text in ["rejected, id_conflict: \"taken\"", "/etc/zertifikäte/ca.pem (tls_ca)", ""] {
            assert_eq!(sanitize(text), text);
        }
    }

    #[test]
    fn control_and_direction_characters_are_replaced() {
        assert_eq!(sanitize("a\u{1b}[2J\nb\u{202e}c"), "a?[2J?b?c");
    }

    #[test]
    fn long_text_is_truncated_at_a_character_boundary() {
        for text in ["x".repeat(100_000), "ä".repeat(100_000), "\u{1b}".repeat(100_000)] {
            let logged = sanitize(&text);
            assert!(logged.len() <= MAX_LOGGED_BYTES + 3 && logged.ends_with("..."), "{logged}");
        }
        assert_eq!(sanitize("y".repeat(MAX_LOGGED_BYTES)).len(), MAX_LOGGED_BYTES);
    }
}
