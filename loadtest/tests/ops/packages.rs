//! The packages of `packaging/build` on clean Debian systems: installed, upgraded and removed, in a
//! container that systemd boots and in one without systemd.
//!
//! `.ci/run package` builds the packages and runs these tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::boot::{Facts, Root};
use super::programs::{built, repository};

/// Debian release of the containers.
const RELEASE: &str = "bookworm";
/// Debian packages that the checks need in each container.
const TOOLS: &str = "ca-certificates,curl,iproute2,procps,rpm";
/// What the tests of both package formats boot.
static WITH_SYSTEMD: LazyLock<PathBuf> = LazyLock::new(|| debian("systemd-sysv,dbus"));
/// Version of the packages to upgrade to.
const NEXT: &str = "99.0.0";

/// Returns the directory of the packages, which is next to the profiles in the target directory.
fn packages() -> PathBuf {
    let profile = built("fleetgauge-agent").parent().unwrap().to_owned();
    let packages = profile.parent().unwrap().join("packages");
    assert!(packages.exists(), "{} does not exist: run packaging/build", packages.display());
    packages
}

/// Returns the packages with this file name extension.
pub(crate) fn with_extension(extension: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(packages()).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = files.filter(|path| path.extension() == Some(extension.as_ref())).collect();
    assert_eq!(found.len(), 2, "the packages of agent and collector: {found:?}");
    found
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

/// The root directory of a Debian system with these packages, which no test changes. It is in the
/// target directory, where the next run finds it.
pub(crate) fn debian(packages: &str) -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let packages = format!("{TOOLS},{packages}");
    // Without commas, which separate the options of mounts.
    let system = temporary.join(format!("{RELEASE}+{}", packages.replace(',', "+")));
    if !system.exists() {
        let unfinished = tempfile::tempdir_in(temporary).unwrap();
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--variant=minbase", &format!("--include={packages}")]);
        run(command.arg(RELEASE).arg(unfinished.path()));
        std::fs::rename(unfinished.keep(), &system).unwrap();
    }
    system
}

/// Copies the script into the container that the checks share.
pub(crate) fn put_steps(root: &Root) {
    root.put(&repository("loadtest/tests/ops/packages/lifecycle.sh"), "packages/lifecycle.sh");
}

/// Copies the Debian packages into the container, with a next version that has other defaults.
fn put_debs(root: &Root) {
    let work = tempfile::tempdir().unwrap();
    for package in with_extension("deb") {
        let name = package.file_name().unwrap().to_str().unwrap().split('_').next().unwrap();
        root.put(&package, &format!("packages/old/{name}.deb"));
        let tree = work.path().join(name);
        run(Command::new("dpkg-deb").arg("-R").arg(&package).arg(&tree));
        edit(&tree.join("DEBIAN/control"), |text| {
            let line = text.lines().find(|line| line.starts_with("Version: ")).unwrap();
            text.replace(line, &format!("Version: {NEXT}"))
        });
        let settings = name.strip_prefix("fleetgauge-").unwrap();
        edit(&tree.join(format!("etc/fleetgauge/{settings}.toml")), |text| {
            text.to_owned() + "# A comment of the next version.\n"
        });
        let next = root.path(&format!("packages/new/{name}.deb"));
        std::fs::create_dir_all(next.parent().unwrap()).unwrap();
        run(Command::new("dpkg-deb").args(["-Znone", "-b"]).arg(&tree).arg(next));
    }
}

/// Copies the rpm packages into the container, with a next release of each.
fn put_rpms(root: &Root) {
    for package in with_extension("rpm") {
        let name = package.file_name().unwrap().to_str().unwrap();
        root.put(&package, &format!("packages/old/{name}"));
    }
    let next = root.path("packages/new");
    std::fs::create_dir(&next).unwrap();
    for program in ["agent", "collector"] {
        let mut command = Command::new("cargo");
        command.current_dir(repository("")).args(["generate-rpm", "-p", program]);
        command.arg("--target-dir").arg(packages().parent().unwrap());
        run(command.args(["--set-metadata", "release = \"2\"", "--output"]).arg(&next));
    }
}

fn edit(file: &Path, change: impl FnOnce(&str) -> String) {
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, change(&text)).unwrap();
}

/// Facts that are the same for all package formats.
fn assert_lifecycle(facts: &Facts) {
    let fact = |name: &str| facts.get(name);
    let inactive = "inactive disabled inactive disabled";
    assert_eq!(fact("install"), "0", "see the output of the package manager");
    assert_eq!(fact("after_install"), inactive, "installing started something");
    assert_eq!(fact("missing_files"), "0");
    assert_eq!(fact("join"), "0");
    assert_eq!(fact("after_join"), "active enabled");
    assert_eq!(fact("reports"), "yes");
    assert_eq!(fact("users"), "fleetgauge-agent fleetgauge-collector");
    assert_eq!(fact("upgrade"), "0");
    assert_eq!(fact("settings_after_upgrade"), "kept", "the upgrade changed settings");
    assert_eq!(fact("restarted"), "yes yes", "an old program runs after the upgrade");
    assert_eq!(fact("after_upgrade"), "active enabled active enabled");
    assert_eq!(fact("reports_after_upgrade"), "yes");
    assert_eq!(fact("remove"), "0");
    assert_eq!(fact("after_remove"), "inactive inactive", "a removed program runs");
}

#[test]
#[ignore = "needs root, the packages, mmdebstrap and systemd-container"]
fn debian_packages_install_upgrade_and_remove_under_systemd() {
    let Some(root) = Root::mount(&WITH_SYSTEMD) else { return };
    put_steps(&root);
    put_debs(&root);
    let facts = root.boot(&repository("loadtest/tests/ops/packages/deb.sh"));
    assert_lifecycle(&facts);
    assert_eq!(facts.get("new_defaults"), "2", "new example settings are not next to changed ones");
    assert_eq!(facts.get("reinstall"), "0 active", "installing over a running agent");
    assert_eq!(facts.get("settings_after_remove"), "kept", "only a purge removes settings");
    assert_eq!(facts.get("left_behind"), "", "a purge leaves files or users");
}

#[test]
#[ignore = "needs root, the packages, mmdebstrap and systemd-container"]
fn rpm_packages_install_upgrade_and_remove_under_systemd() {
    let Some(root) = Root::mount(&WITH_SYSTEMD) else { return };
    put_steps(&root);
    put_rpms(&root);
    let facts = root.boot(&repository("loadtest/tests/ops/packages/rpm.sh"));
    assert_lifecycle(&facts);
    let kept =
        "/etc/fleetgauge /etc/fleetgauge/agent.toml.rpmsave /etc/fleetgauge/collector.toml.rpmsave";
    assert_eq!(facts.get("left_behind"), kept, "not only changed settings are left");
}

#[test]
#[ignore = "needs root, the packages, mmdebstrap and systemd-container"]
fn debian_packages_install_and_remove_without_systemd() {
    let system = debian("systemd-standalone-sysusers");
    let Some(root) = Root::mount(&system) else { return };
    put_steps(&root);
    put_debs(&root);
    let facts = root.run(&repository("loadtest/tests/ops/packages/plain.sh"));
    let fact = |name: &str| facts.get(name);
    assert_eq!(fact("systemctl"), "absent");
    assert_eq!(fact("install"), "0");
    assert_eq!(fact("settings_before_install"), "interval : \"1s\"", "settings were overwritten");
    assert_eq!(fact("join"), "0");
    assert_eq!(fact("reports"), "yes");
    assert_eq!(fact("purge"), "0");
    assert_eq!(fact("left_behind"), "");
}
