//! Texts for people: numbers with units, and texts of peers, which cannot pretend to be others.

use std::fmt::Write as _;

/// Returns the text with at most `max` characters. Characters that are invisible, or that change
/// the direction of the text around them, are shown as escapes.
#[must_use]
pub fn visible(text: &str, max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(4 * max));
    for (count, c) in text.chars().enumerate() {
        if count == max {
            shown.push('…');
            break;
        }
        if is_invisible(c) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_invisible(c: char) -> bool {
    let is_format = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control() || is_format
}

/// Returns a ratio in percent.
#[must_use]
pub fn percent(ratio: f64) -> String {
    if ratio.is_nan() { "–".to_owned() } else { format!("{:.0} %", ratio * 100.0) }
}

/// Returns a number with separators between thousands.
#[must_use]
pub fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of agents: `1 agent`, `1,234 agents`.
#[must_use]
pub fn agents(number: impl TryInto<u64>) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} agent{}", count(number), if number == 1 { "" } else { "s" })
}

/// Returns a number of events a second: with a decimal place if it is small.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
pub fn rate(number: f64) -> String {
    if number < 100.0 { format!("{number:.1}") } else { count(number.round() as u64) }
}

/// Returns a number of bytes with a unit.
#[must_use]
pub fn bytes(number: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = number;
    let mut unit = 0;
    while scaled.abs() >= 1_024.0 && unit + 1 < UNITS.len() {
        scaled /= 1_024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && scaled.abs() < 100.0);
    format!("{scaled:.decimals$} {}", UNITS[unit])
}

/// Returns a time span in its two largest units.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, 10..) => format!("{minutes} min"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Returns a value as its metric's name says what it is: bytes and ratios with their unit.
#[must_use]
pub fn value(name: &str, text: &str) -> Option<String> {
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let name = name.strip_suffix("_total").unwrap_or(name);
    if name.ends_with("_bytes") {
        Some(bytes(number))
    } else if name.ends_with("_ratio") {
        Some(format!("{:.1} %", number * 100.0))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_and_changes_of_direction_are_shown() {
        assert_eq!(visible("a\u{202e}b\n\u{200b}", 20), "a\\u{202e}b\\u{a}\\u{200b}");
        assert_eq!(visible("Zürich 東京", 20), "Zürich 東京");
        assert_eq!(visible(&"x".repeat(1_024), 4), "xxxx…");
        assert_eq!(visible("four", 4), "four");
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!([percent(0.256), percent(f64::NAN)], ["26 %", "–"]);
        assert_eq!([count(0_u64), count(999_u64), count(1_234_567_u64)], ["0", "999", "1,234,567"]);
        assert_eq!([agents(0_u64), agents(1_u64)], ["0 agents", "1 agent"]);
        assert_eq!([rate(0.25), rate(99.96), rate(4_950.2)], ["0.2", "100.0", "4,950"]);
        assert_eq!([bytes(512.0), bytes(1_536.0), bytes(1e12)], ["512 B", "1.5 KiB", "931 GiB"]);
        assert_eq!(
            [span(59), span(61), span(7_260), span(90_000)],
            ["59 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]
        );
        assert_eq!(value("disk_read_bytes_total", "1024").as_deref(), Some("1.0 KiB"));
        assert_eq!(value("cpu_ratio", "0.5").as_deref(), Some("50.0 %"));
        assert_eq!(value("load1", "0.5"), None);
        assert_eq!(value("x_bytes", "NaN"), None);
    }
}
