//! Runs [`fleetgauge_fuzz::scrape`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::scrape::check(data));
