//! Archives and pickles put together by hand, to be wrong in one way each.

#![allow(dead_code)] // each test uses a part of it

/// A ZIP archive of stored entries, without the parts that PyTorch adds.
pub struct Archive {
    file: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Archive {
    pub fn new() -> Archive {
        Archive {
            file: Vec::new(),
            directory: Vec::new(),
            entries: 0,
        }
    }

    /// The archive of a pickle and the storages `data/0`, `data/1`, …
    pub fn of(pickle: &[u8], storages: &[&[u8]]) -> Archive {
        let mut archive = Archive::new().with("x/data.pkl", pickle);
        for (key, storage) in storages.iter().enumerate() {
            archive = archive.with(&format!("x/data/{key}"), storage);
        }
        archive
    }

    pub fn with(self, name: &str, data: &[u8]) -> Archive {
        self.with_method(name.as_bytes(), data, 0, 0)
    }

    pub fn with_method(mut self, name: &[u8], data: &[u8], method: u16, flags: u16) -> Archive {
        let header = self.file.len() as u32;
        let (len, name_len) = (data.len() as u32, name.len() as u16);
        self.file.extend(b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        self.file
            .extend([len.to_le_bytes(), len.to_le_bytes()].concat());
        self.file.extend([name_len.to_le_bytes(), [0; 2]].concat());
        self.file.extend(name);
        self.file.extend(data);

        self.directory.extend(b"PK\x01\x02\0\0\0\0");
        self.directory
            .extend([flags.to_le_bytes(), method.to_le_bytes()].concat());
        self.directory.extend([0; 8]);
        self.directory
            .extend([len.to_le_bytes(), len.to_le_bytes()].concat());
        self.directory.extend(name_len.to_le_bytes());
        self.directory.extend([0; 12]);
        self.directory.extend(header.to_le_bytes());
        self.directory.extend(name);
        self.entries += 1;
        self
    }

    pub fn finish(self) -> Vec<u8> {
        let Archive {
            mut file,
            directory,
            entries,
        } = self;
        let start = file.len() as u32;
        file.extend(&directory);
        file.extend(b"PK\x05\x06\0\0\0\0");
        file.extend([entries.to_le_bytes(), entries.to_le_bytes()].concat());
        file.extend((directory.len() as u32).to_le_bytes());
        file.extend(start.to_le_bytes());
        file.extend([0; 2]);
        file
    }
}

/// The instructions of a pickle that push an integer.
pub fn int(value: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &value.to_le_bytes()].concat()
}

/// The instructions that push a tuple of integers.
pub fn ints(values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&value| int(value)).collect();
    [b"(", &values[..], b"t"].concat()
}

/// The instructions that push a string.
pub fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

/// The instructions that push a tensor.
pub fn tensor(
    class: &str,
    key: &str,
    count: i64,
    offset: i64,
    shape: &[i64],
    strides: &[i64],
) -> Vec<u8> {
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{class}\n").into_bytes(),
        text(key),
        text("cuda:1"),
        int(count),
        b"tQ".to_vec(),
        int(offset),
        ints(shape),
        ints(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// A pickle of these instructions.
pub fn pickle(instructions: &[u8]) -> Vec<u8> {
    [b"\x80\x02", instructions, b"."].concat()
}
