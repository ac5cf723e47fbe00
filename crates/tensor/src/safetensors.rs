//! `.safetensors` files.
//!
//! Such a file is a length, a JSON header with name, dtype, shape and position of every tensor,
//! and the tensors' bytes. The header is parsed and checked by the `safetensors` crate; tensors are
//! then read by position, without the file in memory.

mod header;
pub(crate) mod problem;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use ::safetensors::tensor::{Dtype, Metadata, TensorInfo};

use self::header::{Header, RESERVED};
pub use self::problem::SafetensorsProblem;

use crate::atomic_file::{Action, AtomicFile, Durability};
use crate::container::Container;
use crate::dtype::DType;
use crate::element_type::ElementType;
use crate::file_error::{FileError, FileProblem};
use crate::layout::Layout;
use crate::sniff::something_else;
use crate::source::TensorSource;
use crate::stored::StoredTensor;
use crate::tensor::Tensor;

/// The bytes in front of the header, which hold its length.
const LENGTH_LEN: u64 = 8;

/// The longest header read, the limit of the format's reference implementation.
const MAX_HEADER: u64 = 100_000_000;

/// Tensors begin at multiples of this in the files written.
const ALIGNMENT: usize = 8;

/// The tensors in a file, by name, in the order in which they lie in it.
///
/// # Errors
/// [`FileError`] with [`FileProblem::Safetensors`] if the file is not as the format demands.
pub fn open(path: impl AsRef<Path>) -> Result<Vec<(String, TensorSource)>, FileError> {
    open_container(Container::open(path)?)
}

/// The tensors in a container; like [`open`].
///
/// # Errors
/// Those of [`open`].
pub fn open_container(container: Container) -> Result<Vec<(String, TensorSource)>, FileError> {
    let Opened { tensors, .. } = open_stored(container.clone())?;
    tensors
        .into_iter()
        .map(|(name, stored)| {
            let (name, dtype) = (name.to_string(), stored.element_type());
            match stored.known() {
                Some(source) => Ok((name, source)),
                None => {
                    let dtype = format_name(&dtype);
                    Err(container.error(SafetensorsProblem::UnsupportedDType { name, dtype }))
                }
            }
        })
        .collect()
}

/// A file of tensors of whatever elements.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The tensors by name, in the order in which they lie in the file.
    pub tensors: Vec<(Arc<str>, StoredTensor)>,
    /// What the header says beside the tensors, in the order of its keys.
    pub metadata: BTreeMap<String, String>,
}

/// What is in a container; elements that no [`DType`] describes are bits.
///
/// # Errors
/// Those of [`open`], but for elements that no [`DType`] describes.
pub fn open_stored(container: Container) -> Result<Opened, FileError> {
    match described(&container) {
        Ok(opened) => Ok(opened),
        Err(error) => match something_else(&container)? {
            Some(found) => Err(container.error(found)),
            None => Err(error),
        },
    }
}

fn described(container: &Container) -> Result<Opened, FileError> {
    let fail = |problem| container.error(problem);
    let mut len = [0; LENGTH_LEN as usize];
    container.read_at(&mut len, 0, "the header's length")?;
    let len = u64::from_le_bytes(len);
    if len > MAX_HEADER {
        return Err(fail(SafetensorsProblem::HeaderTooLarge {
            len,
            limit: MAX_HEADER,
        }));
    }
    let header = container.bytes_at(LENGTH_LEN, len, "the header")?;
    let invalid = |reason| fail(SafetensorsProblem::InvalidHeader { reason });
    let Header { tensors, metadata } = Header::parse(&header).map_err(invalid)?;
    drop(header);

    let start = LENGTH_LEN + len;
    let described = tensors
        .last()
        .map_or(0, |(_, info)| info.data_offsets.1 as u64);
    let actual = container.len() - start;
    if described != actual {
        return Err(fail(SafetensorsProblem::PayloadSize { described, actual }));
    }
    let source = |(name, info): (Arc<str>, TensorInfo)| {
        // The parser has checked that each tensor begins where the one before it ends, and that
        // its size is that of dtype and shape.
        let (first, end) = info.data_offsets;
        let position = start + first as u64;
        let (container, entry) = (container.clone(), Arc::clone(&name));
        let stored = match supported(info.dtype) {
            Some(dtype) => {
                let layout = Layout::row_major(position, dtype.size(), &info.shape);
                TensorSource::new(container, entry, dtype, layout)?.into()
            }
            None => {
                let layout = Layout::row_major(position, 1, &[end - first]);
                let bytes = TensorSource::new(container, entry, DType::U8, layout)?;
                let elements = ElementType::Bits(other_name(info.dtype));
                StoredTensor::of_bits(elements, info.shape, bytes)
            }
        };
        Ok((name, stored))
    };
    let tensors = tensors
        .into_iter()
        .map(source)
        .collect::<Result<_, FileError>>()?;
    Ok(Opened { tensors, metadata })
}

/// Names of element types that no [`DType`] describes and other formats have as well.
const OTHERS: [(Dtype, &str); 7] = [
    (Dtype::U16, "u16"),
    (Dtype::U32, "u32"),
    (Dtype::U64, "u64"),
    (Dtype::C64, "c64"),
    (Dtype::F8_E4M3, "f8_e4m3fn"),
    (Dtype::F8_E5M2, "f8_e5m2"),
    (Dtype::F8_E8M0, "f8_e8m0fnu"),
];

/// What an element type is called that no [`DType`] describes.
fn other_name(dtype: Dtype) -> Cow<'static, str> {
    match OTHERS.iter().find(|(other, _)| *other == dtype) {
        Some(&(_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(dtype.to_string()),
    }
}

/// What the format calls an element type.
fn format_name(elements: &ElementType) -> String {
    let other = OTHERS.iter().find(|(_, name)| *name == elements.name());
    other.map_or_else(|| elements.to_string(), |(dtype, _)| dtype.to_string())
}

/// The only tensor of a file that holds nothing else, to the byte as [`write`](fn@write) gives it under that name:
/// a file in which anything but the elements was altered is no such file.
///
/// # Errors
/// Those of [`open`], and [`SafetensorsProblem::InvalidHeader`].
pub fn open_written(path: impl AsRef<Path>, name: &str) -> Result<TensorSource, FileError> {
    let container = Container::open(path)?;
    let tensors = open_container(container.clone())?;
    if let [(found, source)] = tensors.as_slice()
        && found == name
    {
        let (dtype, shape) = (source.dtype(), source.shape().to_vec());
        let bytes = source.len() * dtype.size();
        let header = header(container.path(), vec![(found.clone(), dtype, shape, bytes)])?;
        let len = header.len() as u64;
        let written = LENGTH_LEN + len + bytes as u64 == container.len()
            && container.bytes_at(LENGTH_LEN, len, "the header")? == header;
        if written {
            return Ok(source.clone());
        }
    }
    let reason = format!("it is not that of a file with `{name}` and nothing else");
    Err(container.error(SafetensorsProblem::InvalidHeader { reason }))
}

/// The tensors in a file, by name, in memory.
///
/// # Errors
/// Those of [`open`], and if a bool in the file is neither 0 nor 1.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>, FileError> {
    open(path)?
        .into_iter()
        .map(|(name, source)| Ok((name, source.read()?)))
        .collect()
}

/// Writes tensors to a file.
///
/// They are ordered as the reference implementation does, by dtype with the largest elements first
/// and then by name, so that each is aligned and the same tensors make the same file. The header's metadata says
/// `"format": "pt"`, which the `transformers` library insists on.
///
/// # Errors
/// [`SafetensorsProblem::DuplicateName`], [`SafetensorsProblem::ReservedName`],
/// [`FileProblem::Io`].
pub fn write(path: impl AsRef<Path>, tensors: &[(String, Tensor)]) -> Result<(), FileError> {
    write_as(path, tensors, Durability::Kept)
}

/// Writes tensors to a file that has to last so long, as [`write`](fn@write) does.
///
/// # Errors
/// As [`write`](fn@write).
pub fn write_as(
    path: impl AsRef<Path>,
    tensors: &[(String, Tensor)],
    durability: Durability,
) -> Result<(), FileError> {
    let path = path.as_ref();
    let prepared = prepare(path, tensors)?;
    let mut file = AtomicFile::create(path)?;
    prepared
        .write(&mut file)
        .map_err(|source| FileError::new(path, FileProblem::from_io(Action::Write, source)))?;
    Ok(file.publish_as(durability)?)
}

/// Writes tensors, as the file of that name, to anything that takes bytes.
///
/// # Errors
/// Those of [`write`](fn@write), with `name` as the path.
pub fn write_to(
    out: impl Write,
    name: impl AsRef<Path>,
    tensors: &[(String, Tensor)],
) -> Result<(), FileError> {
    let name = name.as_ref();
    prepare(name, tensors)?
        .write(out)
        .map_err(|source| FileError::new(name, FileProblem::from_io(Action::Write, source)))
}

/// A header and the tensors in the order it has them.
struct Prepared<'a> {
    header: Vec<u8>,
    tensors: Vec<&'a (String, Tensor)>,
}

impl Prepared<'_> {
    fn write(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(&(self.header.len() as u64).to_le_bytes())?;
        out.write_all(&self.header)?;
        for (_, tensor) in &self.tensors {
            out.write_all(tensor.bytes())?;
        }
        out.flush()
    }
}

fn prepare<'a>(path: &Path, tensors: &'a [(String, Tensor)]) -> Result<Prepared<'a>, FileError> {
    let mut tensors: Vec<_> = tensors.iter().collect();
    tensors.sort_by_key(|(name, tensor)| (Reverse(counterpart(tensor.dtype())), name));
    let entry = |(name, tensor): &&(String, Tensor)| {
        let shape = tensor.shape().to_vec();
        (name.clone(), tensor.dtype(), shape, tensor.bytes().len())
    };
    let header = header(path, tensors.iter().map(entry).collect())?;
    Ok(Prepared { header, tensors })
}

/// The header of a file with tensors of these names, dtypes, shapes and numbers of bytes, in that order.
fn header(
    path: &Path,
    tensors: Vec<(String, DType, Vec<usize>, usize)>,
) -> Result<Vec<u8>, FileError> {
    let mut names = HashSet::new();
    let mut infos = Vec::with_capacity(tensors.len());
    let mut offset = 0;
    for (name, dtype, shape, bytes) in tensors {
        if name == RESERVED {
            return Err(FileError::new(path, SafetensorsProblem::ReservedName));
        }
        if !names.insert(name.clone()) {
            return Err(FileError::new(
                path,
                SafetensorsProblem::DuplicateName { name },
            ));
        }
        let end = offset + bytes;
        let info = TensorInfo {
            dtype: counterpart(dtype),
            shape,
            data_offsets: (offset, end),
        };
        infos.push((name, info));
        offset = end;
    }
    let invalid = |reason: String| {
        FileError::new(
            path,
            FileProblem::from(SafetensorsProblem::InvalidHeader { reason }),
        )
    };
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(metadata), infos).map_err(|e| invalid(e.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| invalid(e.to_string()))?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(header)
}

fn supported(dtype: Dtype) -> Option<DType> {
    DType::ALL
        .into_iter()
        .find(|&own| counterpart(own) == dtype)
}

fn counterpart(dtype: DType) -> Dtype {
    match dtype {
        DType::Bool => Dtype::BOOL,
        DType::U8 => Dtype::U8,
        DType::I8 => Dtype::I8,
        DType::I16 => Dtype::I16,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
    }
}
