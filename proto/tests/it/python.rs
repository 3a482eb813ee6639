//! Compares the example client in Python, written only from `docs/protocol.md`, with the vectors.

use std::process::Command;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/client_vectors.py");
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/v1");

#[test]
#[ignore = "needs python3"]
fn python_client_encodes_the_accepted_frames() {
    let mut python = Command::new("python3");
    // No bytecode in the folder of the documentation.
    python.arg("-B").args([SCRIPT, DOCS, VECTORS]);
    let output = python.output().expect("python3 starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
