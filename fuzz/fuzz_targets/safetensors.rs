//! A whole `.safetensors` file.

#![no_main]

use concord_fuzz::read_all;
use concord_tensor::{Container, safetensors};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let container = Container::from_bytes("fuzz.safetensors", file.to_vec());
    if let Ok(tensors) = safetensors::open_container(container) {
        read_all(tensors.into_iter().map(|(_, source)| source));
    }
});
