//! Every committed input once more: what fuzzing kept because it reaches something of its own, and
//! what it found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fleetgauge_fuzz::TARGETS;

fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
    let Ok(files) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.expect("a folder's entry").path()).collect();
    files.sort();
    files
}

/// Runs a target on all its inputs in a folder; how many there were.
fn replay(folder: &str, target: &str) -> usize {
    let check = TARGETS.iter().find(|(name, _)| *name == target).expect("a target").1;
    let inputs = inputs(folder, target);
    for input in &inputs {
        let data = std::fs::read(input).expect("it can be read");
        let checked = catch_unwind(AssertUnwindSafe(|| check(&data)));
        assert!(checked.is_ok(), "{} fails; the panic is above", input.display());
    }
    inputs.len()
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                let inputs = replay("corpus", stringify!($target));
                assert!(inputs >= 10, "the corpus is there: {inputs}");
                replay("regressions", stringify!($target));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($target)),*];
            assert_eq!(TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), replayed);
        }
    };
}

replayed!(claims config credentials exposition frame message proxy schema session);

/// Inputs are kept small: they are cloned by everybody.
#[test]
fn corpora_are_small() {
    let files = TARGETS.iter().flat_map(|(target, _)| {
        inputs("corpus", target).into_iter().chain(inputs("regressions", target))
    });
    let bytes: u64 = files.map(|file| file.metadata().expect("a file").len()).sum();
    assert!(bytes < 600 * 1024, "{bytes} bytes; shrink them with cargo fuzz cmin");
}
