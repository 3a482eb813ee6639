//! Runs [`fleetgauge_fuzz::config`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::config::check(data));
