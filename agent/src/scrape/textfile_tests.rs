use std::time::Duration;

use fleetgauge_proto::StaticLabels;
use fleetgauge_proto::message::Label;

use super::*;
use crate::config::FilePattern;
use crate::tables::exposition;
use crate::test_log::Log;

/// A directory of text files and the source that reads it.
struct Fixture {
    directory: tempfile::TempDir,
    source: Textfiles,
    output: Output,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut TextfileSettings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let source = Textfiles::new(&[settings]);
        Self { directory, source, output: Output::default() }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        // As jobs should do it. The new file has another inode.
        let temporary = self.directory.path().join("temporary");
        fs::write(&temporary, content).unwrap();
        fs::rename(temporary, self.directory.path().join(name)).unwrap();
    }

    fn set_age(&self, name: &str, age: Duration) {
        let file = fs::File::options().append(true).open(self.directory.path().join(name));
        file.unwrap().set_modified(SystemTime::now() - age).unwrap();
    }

    /// Reads and returns all samples.
    fn all(&mut self) -> Vec<String> {
        self.output.begin();
        self.source.read(&mut self.output).unwrap();
        self.output.finish();
        exposition::lines(&[], &self.output)
    }

    /// Reads and returns the samples of the files, and then the value of
    /// `node_textfile_scrape_error`.
    fn read(&mut self) -> (Vec<String>, String) {
        let (own, files): (Vec<_>, Vec<_>) =
            self.all().into_iter().partition(|line| line.starts_with("node_textfile_"));
        let error = own.iter().find_map(|line| line.strip_prefix("node_textfile_scrape_error "));
        (files, error.unwrap().to_owned())
    }
}

fn settings(directory: &Path) -> TextfileSettings {
    TextfileSettings {
        directory: directory.into(),
        pattern: FilePattern::parse("*.prom").unwrap(),
        max_age: None,
        max_size: 1000,
        labels: StaticLabels::default(),
    }
}

fn good(lines: &[&str]) -> (Vec<String>, String) {
    (lines.iter().map(|line| (*line).to_owned()).collect(), "0".to_owned())
}

fn bad(lines: &[&str]) -> (Vec<String>, String) {
    (good(lines).0, "1".to_owned())
}

#[test]
fn samples_of_matching_files_are_read() {
    let mut fixture = Fixture::new();
    fixture.write("a.prom", "a{x=\"1\"} 1\n");
    fixture.write("b c\n\".prom", "b 2\n");
    fixture.write("c.prom.tmp", "c 3\n");
    fixture.write("empty.prom", "");
    assert_eq!(fixture.read(), good(&["a{x=\"1\"} 1", "b 2"]));
}

#[test]
fn files_that_change_appear_or_disappear_are_seen() {
    let mut fixture = Fixture::new();
    fixture.write("b.prom", "b 1\n");
    fixture.write("d.prom", "d 1\n");
    assert_eq!(fixture.read(), good(&["b 1", "d 1"]));
    fixture.write("b.prom", "b 2\n");
    assert_eq!(fixture.read(), good(&["b 2", "d 1"]));
    fixture.write("b.prom", "b 2\nb2 3\n");
    assert_eq!(fixture.read(), good(&["b 2", "b2 3", "d 1"]));
    fixture.write("a.prom", "a 1\n");
    fixture.write("c.prom", "c 1\n");
    assert_eq!(fixture.read(), good(&["a 1", "b 2", "b2 3", "c 1", "d 1"]));
    fs::remove_file(fixture.directory.path().join("b.prom")).unwrap();
    assert_eq!(fixture.read(), good(&["a 1", "c 1", "d 1"]));
    fixture.write("a.prom", "");
    assert_eq!(fixture.read(), good(&["c 1", "d 1"]));
}

#[test]
fn unchanged_files_are_not_read_again() {
    let mut fixture = Fixture::new();
    fixture.write("a.prom", "a 1\n");
    fixture.write("b.prom", "b 1\n");
    let before = fixture.all();
    let path = fixture.directory.path().join("b.prom");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    // Same inode, size and time: the change must not be seen.
    fs::write(&path, "b 9\n").unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(fixture.all(), before);
    fixture.write("a.prom", "a 2\n");
    assert_eq!(fixture.read(), good(&["a 2", "b 1"]));
    assert_eq!(fixture.output.text_bytes(), 0);
}

#[test]
fn malformed_file_costs_only_itself_and_is_logged_once() {
    let mut fixture = Fixture::new();
    for (content, cause) in [
        (&b"x 1\nx2 2"[..], "no line feed at its end"),
        (b"x 1\nx2 \n", "line 2 has no value"),
        (b"x 1\nx2 2 123\n", "it has timestamps"),
        (b"x 1\n\xff\xfe 2\n", "line 2"),
        (b"x\0 1\n", "line 1"),
        (&[b'x'; 1001], "longer than 1000 bytes"),
    ] {
        let (log, mut fixture) = (Log::default(), Fixture::new());
        let _logging = log.install();
        fixture.write("a.prom", "a 1\n");
        fixture.write("x.prom", content);
        fixture.write("z.prom", "z 1\n");
        for _ in 0..3 {
            assert_eq!(fixture.read(), bad(&["a 1", "z 1"]), "{cause}");
        }
        let lines = log.lines();
        assert!(lines.len() == 1 && lines[0].contains(cause), "{cause}: {lines:?}");
        fixture.write("x.prom", "x 1\n");
        assert_eq!(fixture.read(), good(&["a 1", "x 1", "z 1"]), "{cause}");
        assert!(log.lines()[1].contains("text file recovered"), "{cause}");
    }
    assert_eq!(fixture.read(), good(&[]));
}

#[cfg(unix)]
#[test]
fn files_that_are_not_regular_are_not_opened() {
    use std::os::unix::fs::symlink;
    let mut fixture = Fixture::new();
    let path = |name: &str| fixture.directory.path().join(name);
    fs::create_dir(path("directory.prom")).unwrap();
    symlink("/dev/zero", path("device.prom")).unwrap();
    symlink("missing", path("dangling.prom")).unwrap();
    symlink("loop.prom", path("loop.prom")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("fifo.prom"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    fixture.write("target", "a 1\n");
    symlink("target", path("link.prom")).unwrap();
    let log = Log::default();
    let _logging = log.install();
    assert_eq!(fixture.read(), bad(&["a 1"]));
    let lines = log.lines();
    for name in ["directory", "device", "dangling", "loop", "fifo"] {
        assert!(lines.iter().any(|line| line.contains(name)), "{name}: {lines:?}");
    }
    assert_eq!(lines.len(), 5, "{lines:?}");
}

#[test]
fn missing_directory_is_an_error_and_logged_once() {
    let (log, mut fixture) = (Log::default(), Fixture::new());
    let _logging = log.install();
    fixture.write("a.prom", "a 1\n");
    fixture.read();
    fs::remove_dir_all(fixture.directory.path()).unwrap();
    assert_eq!((fixture.read(), fixture.read()), (bad(&[]), bad(&[])));
    assert_eq!(log.lines().len(), 1, "{:?}", log.lines());
    fs::create_dir(fixture.directory.path()).unwrap();
    fixture.write("a.prom", "a 1\n");
    assert_eq!(fixture.read(), good(&["a 1"]));
}

#[test]
fn old_files_have_no_samples_but_a_modification_time() {
    let hour = Duration::from_secs(3600);
    let mut fixture = Fixture::with(|settings| settings.max_age = Some(hour));
    fixture.write("a.prom", "a 1\n");
    fixture.write("b.prom", "b 1\n");
    assert_eq!(fixture.read(), good(&["a 1", "b 1"]));
    fixture.set_age("a.prom", 2 * hour);
    assert_eq!(fixture.read(), good(&["b 1"]));
    assert_eq!(fixture.all().len(), 4);
    fixture.write("a.prom", "a 1\n");
    assert_eq!(fixture.read(), good(&["a 1", "b 1"]));
}

#[test]
fn modification_times_have_the_label_file() {
    let labels = StaticLabels::try_new(&[Label { name: "team", value: "db" }]).unwrap();
    let mut fixture = Fixture::with(|settings| settings.labels = labels);
    fixture.write("a.prom", "a{team=\"own\",agent=\"x\"} 1\n");
    let path = fixture.directory.path().join("a.prom");
    let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
    fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    for _ in 0..2 {
        assert_eq!(
            fixture.all(),
            [
                "a{exported_agent=\"x\",exported_team=\"own\",team=\"db\"} 1".to_owned(),
                format!("node_textfile_mtime_seconds{{file={path:?},team=\"db\"}} 1700000000.5"),
                "node_textfile_scrape_error 0".to_owned(),
            ]
        );
    }
}

#[test]
fn files_cannot_have_the_samples_about_files() {
    let (log, mut fixture) = (Log::default(), Fixture::new());
    let _logging = log.install();
    fixture.write("a.prom", "node_textfile_scrape_error 5\na 1\n");
    assert_eq!((fixture.read(), fixture.read()), (good(&["a 1"]), good(&["a 1"])));
    let lines = log.lines();
    assert!(lines.len() == 1 && lines[0].contains("the agent itself has"), "{lines:?}");
}

#[test]
fn number_of_files_is_limited() {
    let mut fixture = Fixture::new();
    for file in 0..=MAX_FILES {
        fs::write(fixture.directory.path().join(format!("{file}.prom")), "a 1\n").unwrap();
    }
    let (samples, error) = fixture.read();
    assert_eq!((samples.len(), &*error), (1, "1"));
    assert_eq!(fixture.source.globs[0].files.len(), MAX_FILES);
}
