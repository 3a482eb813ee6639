//! Runs [`fleetgauge_fuzz::rows`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::rows::check(data));
