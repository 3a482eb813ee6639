//! Runs [`fleetgauge_fuzz::claims`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::claims::check(data));
