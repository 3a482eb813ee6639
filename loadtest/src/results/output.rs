//! The files that results are written to.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::comparison::Baseline;
use super::{Results, html};

/// Output files, in addition to standard output.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Write the results to FILE as JSON
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub report: Option<PathBuf>,
    /// Write the results to FILE as an HTML page with plots
    #[arg(long, value_name = "FILE.html", help_heading = "Output")]
    pub html: Option<PathBuf>,
    /// Compare the results with FILE, which --report wrote in an earlier test of this command
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub baseline: Option<PathBuf>,
}

/// Output files and the baseline, opened before the test: an invalid path must not lose the results
/// of a long run.
#[derive(Debug)]
pub struct OutputFiles {
    /// The test to compare with.
    pub baseline: Option<Baseline>,
    json: Option<File>,
    html: Option<File>,
}

impl OutputFiles {
    /// Reads the baseline of this scenario, then creates the files, which may replace it.
    ///
    /// # Errors
    /// If a file cannot be created or the baseline cannot be compared. The error names the flag.
    pub fn create(output: &OutputArgs, scenario: &str) -> anyhow::Result<Self> {
        let baseline = output.baseline.as_deref();
        let baseline = baseline.map(|path| Baseline::read(path, scenario)).transpose()?;
        let create = |flag: &str, path: &Option<PathBuf>| {
            let open = |path: &Path| {
                File::create(path)
                    .with_context(|| format!("{flag}: cannot create {}", path.display()))
            };
            path.as_deref().map(open).transpose()
        };
        Ok(Self {
            baseline,
            json: create("--report", &output.report)?,
            html: create("--html", &output.html)?,
        })
    }

    /// Writes the results.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(self, results: &Results) -> anyhow::Result<()> {
        if let Some(mut file) = self.json {
            let json = serde_json::to_string_pretty(results)?;
            writeln!(file, "{json}").context("cannot write the file of --report")?;
        }
        if let Some(mut file) = self.html {
            file.write_all(html::page(results)?.as_bytes())
                .context("cannot write the file of --html")?;
        }
        Ok(())
    }
}
