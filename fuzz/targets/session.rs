//! Runs [`fleetgauge_fuzz::session`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::session::check(data));
