//! Runs [`fleetgauge_fuzz::message`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::message::check(data));
