//! A whole PyTorch file.

#![no_main]

use concord_fuzz::read_all;
use concord_tensor::{Container, pt};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let container = Container::from_bytes("fuzz.pt", file.to_vec());
    if let Ok(value) = pt::open_container(container) {
        read_all(value.tensors().into_iter().map(|(_, source)| source));
    }
});
