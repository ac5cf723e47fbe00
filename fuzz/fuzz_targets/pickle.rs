//! A pickle in a good archive, which has 64 bytes in each of its storages `data/0` and `data/1`.

#![no_main]

use concord_fuzz::read_all;
use concord_tensor::{Container, pt};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|pickle: &[u8]| {
    let entries = [
        ("x/data.pkl", pickle),
        ("x/data/0", &[1; 64]),
        ("x/data/1", &[0; 64]),
    ];
    let container = Container::from_bytes("fuzz.pt", archive(&entries));
    if let Ok(value) = pt::open_container(container) {
        read_all(value.tensors().into_iter().map(|(_, source)| source));
    }
});

/// The smallest ZIP archive of stored entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let header = file.len() as u32;
        let sizes = [data.len() as u32; 2].map(u32::to_le_bytes).concat();
        let name_len = (name.len() as u16).to_le_bytes();
        file.extend([b"PK\x03\x04", &[0; 14][..], &sizes, &name_len, &[0; 2]].concat());
        file.extend([name.as_bytes(), data].concat());
        directory.extend([b"PK\x01\x02", &[0; 16][..], &sizes, &name_len, &[0; 12]].concat());
        directory.extend([&header.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let extent = [directory.len() as u32, file.len() as u32]
        .map(u32::to_le_bytes)
        .concat();
    file.extend(&directory);
    file.extend([b"PK\x05\x06", &[0; 4][..], &count, &count, &extent, &[0; 2]].concat());
    file
}
