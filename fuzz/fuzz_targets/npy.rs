//! A whole `.npy` file.

#![no_main]

use concord_fuzz::read_all;
use concord_tensor::{Container, npy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let container = Container::from_bytes("fuzz.npy", file.to_vec());
    if let Ok(source) = npy::open_container(container) {
        read_all([source]);
    }
});
