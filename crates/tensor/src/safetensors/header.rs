//! The JSON header of a `.safetensors` file.
//!
//! Read here and not by the `safetensors` crate, whose maps take many times the header's size where a file has
//! hundreds of thousands of tensors.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ::safetensors::SafeTensorError;
use ::safetensors::tensor::TensorInfo;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// The key under which the header keeps metadata instead of a tensor.
pub(super) const RESERVED: &str = "__metadata__";

/// What a header says.
#[derive(Default)]
pub(super) struct Header {
    /// The tensors in the order in which they lie in the file, one behind the other.
    pub(super) tensors: Vec<(Arc<str>, TensorInfo)>,
    pub(super) metadata: BTreeMap<String, String>,
}

impl Header {
    /// Parses a header and checks that its tensors follow each other, each as long as dtype and shape are; else
    /// says what is wrong.
    pub(super) fn parse(text: &[u8]) -> Result<Header, String> {
        let mut header: Header = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        header.tensors.sort_by_key(|(_, info)| info.data_offsets);
        let mut start = 0;
        for (name, info) in &header.tensors {
            let (first, end) = info.data_offsets;
            if first != start || end < first {
                return Err(SafeTensorError::InvalidOffset(name.to_string()).to_string());
            }
            start = end;
            let count = info
                .shape
                .iter()
                .copied()
                .try_fold(1usize, usize::checked_mul);
            let bits = count.and_then(|count| count.checked_mul(info.dtype.bitsize()));
            let problem = match bits {
                None => SafeTensorError::ValidationOverflow,
                Some(bits) if bits % 8 != 0 => SafeTensorError::MisalignedSlice,
                Some(bits) if bits / 8 != end - first => SafeTensorError::TensorInvalidInfo,
                Some(_) => continue,
            };
            return Err(format!("tensor {name:?}: {problem}"));
        }
        let mut names: Vec<&Arc<str>> = header.tensors.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("it has tensor {:?} twice", pair[0])),
            None => Ok(header),
        }
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == RESERVED {
                        header.metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
                    } else {
                        header.tensors.push((name.into(), map.next_value()?));
                    }
                }
                Ok(header)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
