use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::report_log::ReportLog;
use crate::report_log::file::FileEncoder;
use crate::report_log::tests::{catalogs, fill};

fn id() -> AgentId {
    AgentId::try_new("web-1").unwrap()
}

/// Writes a log of this many reports.
fn save(file: &mut LogFile, id: &AgentId, reports: u64) -> io::Result<()> {
    let mut log = ReportLog::default();
    fill(&mut log, &catalogs(2), 1..=reports);
    let mut bytes = Vec::new();
    assert!(FileEncoder::new(id, &mut bytes).append(&log, 0, &mut bytes));
    file.create()?;
    file.write(&bytes)?;
    file.publish()
}

fn read(file: &LogFile, id: &AgentId) -> Result<Option<Content>, OpenError> {
    file.read(id, LogLimits::default(), 0)
}

/// Returns the number of reports in the file.
fn reports(file: &LogFile) -> Option<usize> {
    match read(file, &id()).unwrap() {
        Some(Content::Log(restored)) => Some(restored.log.len()),
        _ => None,
    }
}

#[test]
fn saved_file_is_read_and_replaced_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.log");
    let mut file = LogFile::lock(&path).unwrap();
    assert_eq!(reports(&file), None);
    for count in [30, 7] {
        save(&mut file, &id(), count).unwrap();
        assert_eq!(reports(&file), Some(count as usize));
    }
    let mut names: Vec<_> =
        directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["agent.log", "agent.log.lock"]);
}

#[test]
fn only_the_agents_user_can_read_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    // A file of another process has no effect.
    std::fs::write(beside(&path, ".new"), "x").unwrap();
    let mut file = LogFile::lock(&path).unwrap();
    save(&mut file, &id(), 3).unwrap();
    for path in [path.clone(), beside(&path, ".lock")] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
}

#[test]
fn file_in_use_by_another_agent_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut file = LogFile::lock(&path).unwrap();
    // The lock outlives the replacement of the file.
    save(&mut file, &id(), 3).unwrap();
    let error = LogFile::lock(&path).unwrap_err().to_string();
    assert!(error.contains("in use by another agent"), "{error}");
    drop(file);
    assert_eq!(reports(&LogFile::lock(&path).unwrap()), Some(3));
}

#[test]
fn file_of_another_agent_or_version_is_renamed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut file = LogFile::lock(&path).unwrap();
    let other = AgentId::try_new("web-2").unwrap();
    save(&mut file, &other, 3).unwrap();
    let Content::SetAside { to, cause } = read(&file, &id()).unwrap().unwrap() else {
        panic!("the file was read")
    };
    assert!(cause.contains("web-2"), "{cause}");
    assert_eq!((to, path.exists()), (beside(&path, ".old"), false));
    assert_eq!(reports(&file), None);
    save(&mut file, &id(), 4).unwrap();
    assert_eq!(reports(&file), Some(4));

    let mut bytes = std::fs::read(&path).unwrap();
    bytes[super::super::MAGIC.len()] += 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(read(&file, &id()).unwrap(), Some(Content::SetAside { .. })));
}

#[test]
fn other_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    std::fs::write(&path, "collector = 'c:1'\n").unwrap();
    let file = LogFile::lock(&path).unwrap();
    let error = read(&file, &id()).unwrap_err().to_string();
    assert!(error.contains("not a log of reports"), "{error}");
    assert!(file.make_way(&id()).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "collector = 'c:1'\n");
    assert!(matches!(LogFile::lock(Path::new("/dev/null")), Err(OpenError::NotAFile)));
    assert!(matches!(LogFile::lock(directory.path()), Err(OpenError::NotAFile)));
}

#[test]
fn missing_directory_is_an_error_with_advice() {
    let error = LogFile::lock(Path::new("/nonexistent/log")).unwrap_err().to_string();
    assert!(error.contains("choose a log_file in a directory"), "{error}");
}

/// Neither a permission nor a limit is needed for the test: a directory stands for a file that
/// cannot be created.
#[test]
fn failed_write_keeps_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut file = LogFile::lock(&path).unwrap();
    save(&mut file, &id(), 3).unwrap();
    std::fs::create_dir_all(beside(&path, ".new").join("x")).unwrap();
    save(&mut file, &id(), 5).unwrap_err();
    file.discard();
    assert_eq!(reports(&file), Some(3));
    std::fs::remove_dir_all(beside(&path, ".new")).unwrap();
    save(&mut file, &id(), 5).unwrap();
    assert_eq!(reports(&file), Some(5));
}

#[test]
fn symbolic_link_to_another_file_is_not_written_through() {
    let directory = tempfile::tempdir().unwrap();
    let (path, target) = (directory.path().join("log"), directory.path().join("target"));
    std::fs::write(&target, "mine").unwrap();
    symlink(&target, beside(&path, ".new")).unwrap();
    save(&mut LogFile::lock(&path).unwrap(), &id(), 3).unwrap();
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");
}
