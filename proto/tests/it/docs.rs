//! docs/protocol.md cannot rot: its worked examples are committed vectors, and every code is on the page.
