use std::collections::BTreeSet;

use super::*;

#[test]
fn every_program_has_man_pages_and_completions() {
    let directory = tempfile::tempdir().unwrap();
    for command in programs() {
        write(command, directory.path()).unwrap();
    }
    let mut files = BTreeSet::new();
    for within in ["man", "bash", "zsh", "fish"] {
        for entry in fs::read_dir(directory.path().join(within)).unwrap() {
            let name = entry.unwrap().file_name();
            files.insert(format!("{within}/{}", name.to_str().unwrap()));
        }
    }
    let expected = [
        "bash/fleetgauge-agent.bash",
        "bash/fleetgauge-collector.bash",
        "bash/fleetgauge-top.bash",
        "fish/fleetgauge-agent.fish",
        "fish/fleetgauge-collector.fish",
        "fish/fleetgauge-top.fish",
        "man/fleetgauge-agent-join.1",
        "man/fleetgauge-agent.1",
        "man/fleetgauge-collector-token.1",
        "man/fleetgauge-collector.1",
        "man/fleetgauge-top.1",
        "zsh/_fleetgauge-agent",
        "zsh/_fleetgauge-collector",
        "zsh/_fleetgauge-top",
    ];
    assert_eq!(files, expected.map(str::to_owned).into());
}
