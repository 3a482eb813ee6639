//! Output of the demo.

use std::io::Write;

use indicatif::ProgressBar;

/// Prints a text above the status line, or only the text if there is no terminal.
pub(super) fn print(bar: &ProgressBar, text: &str) {
    let mut stdout = std::io::stdout();
    // A closed terminal does not end the demo.
    let _ = bar.suspend(|| stdout.write_all(format!("{text}\n").as_bytes()));
}
