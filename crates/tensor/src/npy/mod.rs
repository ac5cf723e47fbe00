//! `.npy` files of NumPy.
//!
//! Such a file is a header, which is the text of a Python dict, and the elements of one array in
//! row-major or column-major order. The format is specified in NumPy's `numpy.lib.format`.

mod header;
pub(crate) mod problem;

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use header::Header;
pub use problem::NpyProblem;

use crate::atomic_file::{Action, AtomicFile};
use crate::container::Container;
use crate::dtype::DType;
use crate::element_type::ElementType;
use crate::file_error::{FileError, FileProblem};
use crate::layout::{Layout, row_major_strides};
use crate::sniff::something_else;
use crate::source::TensorSource;
use crate::stored::StoredTensor;
use crate::tensor::Tensor;
use crate::tensor::element_count;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest header read: NumPy's own limit is 10,000 characters.
const MAX_HEADER: u64 = 1 << 20;

/// The most dimensions an array can have, in NumPy 2; it was 32 before.
const MAX_DIMENSIONS: usize = 64;

/// The elements begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// NumPy leaves room for the outermost dimension to grow to this many digits.
const GROWTH_DIGITS: usize = 21;

/// The array in a file.
///
/// # Errors
/// [`FileError`] with [`FileProblem::Npy`] if the file is not as the format demands, or has
/// elements that no [`DType`] describes.
pub fn open(path: impl AsRef<Path>) -> Result<TensorSource, FileError> {
    open_container(Container::open(path)?)
}

/// The array in a container; like [`open`].
///
/// # Errors
/// Those of [`open`].
pub fn open_container(container: Container) -> Result<TensorSource, FileError> {
    let opened = Opened::read(&container)?;
    let dtype = dtype_of(&opened.header.descr).map_err(|problem| container.error(problem))?;
    opened.source(container, dtype)
}

/// The array in a container, of whatever elements: those that no [`DType`] describes are bits.
///
/// # Errors
/// Those of [`open`], but for elements that no [`DType`] describes; [`NpyProblem::ObjectArray`] for Python
/// objects.
pub fn open_stored(container: Container) -> Result<StoredTensor, FileError> {
    let opened = Opened::read(&container)?;
    match dtype_of(&opened.header.descr) {
        Ok(dtype) => Ok(opened.source(container, dtype)?.into()),
        Err(_) => opened.bits(container),
    }
}

/// A file whose header was read.
struct Opened {
    header: Header,
    /// Where the elements begin.
    data_at: u64,
}

impl Opened {
    fn read(container: &Container) -> Result<Opened, FileError> {
        let fail = |problem| container.error(problem);
        let mut start = [0; 8];
        if container.len() >= start.len() as u64 {
            container.read_at(&mut start, 0, "the file's beginning")?;
        }
        let [magic @ .., major, minor] = start;
        if magic != *MAGIC {
            let problem = something_else(container)?;
            return Err(container.error(problem.unwrap_or(NpyProblem::NotNpy.into())));
        }
        // Version 3 is version 2 with a header in UTF-8 instead of Latin-1.
        let length_len = match (major, minor) {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            _ => return Err(fail(NpyProblem::UnsupportedVersion { major, minor })),
        };
        let mut len = [0; 8];
        container.read_at(&mut len[..length_len], 8, "the header's length")?;
        let len = u64::from_le_bytes(len);
        if len > MAX_HEADER {
            return Err(fail(NpyProblem::HeaderTooLarge {
                len,
                limit: MAX_HEADER,
            }));
        }
        let header_at = 8 + length_len as u64;
        let header = container.bytes_at(header_at, len, "the header")?;
        let header = Header::parse(&header).map_err(fail)?;
        if header.shape.len() > MAX_DIMENSIONS {
            // A type that is not supported is what is wrong first.
            dtype_of(&header.descr).map_err(fail)?;
            return Err(fail(too_many_dimensions(&header.shape)));
        }
        let data_at = header_at + len;
        Ok(Opened { header, data_at })
    }

    fn source(self, container: Container, dtype: DType) -> Result<TensorSource, FileError> {
        let shape = &self.header.shape;
        let count = element_count(dtype, shape).map_err(|source| {
            container.error(FileProblem::Tensor {
                name: String::new(),
                source,
            })
        })?;
        let expected = (count * dtype.size()) as u64;
        let actual = container.len() - self.data_at;
        if expected != actual {
            return Err(container.error(NpyProblem::PayloadSize { expected, actual }));
        }
        let strides = self.strides();
        let layout = Layout::strided(self.data_at, dtype.size(), self.header.shape, strides);
        TensorSource::new(container, "".into(), dtype, layout)
    }

    /// The array with its elements as bits.
    fn bits(self, container: Container) -> Result<StoredTensor, FileError> {
        let Header { descr, shape, .. } = &self.header;
        if descr == "|O" || descr.contains("'|O'") {
            return Err(container.error(NpyProblem::ObjectArray));
        }
        // No element is smaller than a byte, so this is a bound on the number of elements.
        let count = element_count(DType::U8, shape).map_err(|source| {
            container.error(FileProblem::Tensor {
                name: String::new(),
                source,
            })
        })? as u64;
        let actual = container.len() - self.data_at;
        let size = match (element_size(descr), count) {
            (Some(size), _) => size,
            (None, 0) => 1,
            // The fields of a record are as large as what there is of them.
            (None, count) => actual / count,
        };
        let expected = count.saturating_mul(size);
        if expected != actual {
            return Err(container.error(NpyProblem::PayloadSize { expected, actual }));
        }
        let size = size as usize;
        let strides = self.strides();
        let bytes_strides = strides
            .iter()
            .map(|stride| stride.saturating_mul(size))
            .chain([1]);
        let layout = Layout::strided(
            self.data_at,
            1,
            [&shape[..], &[size]].concat(),
            bytes_strides.collect(),
        );
        let bytes = TensorSource::new(container, "".into(), DType::U8, layout)?;
        let elements = ElementType::Bits(element_name(descr));
        Ok(StoredTensor::of_bits(elements, self.header.shape, bytes))
    }

    fn strides(&self) -> Vec<usize> {
        let shape = &self.header.shape;
        if !self.header.fortran_order {
            return row_major_strides(shape);
        }
        let reversed: Vec<usize> = shape.iter().rev().copied().collect();
        let mut strides = row_major_strides(&reversed);
        strides.reverse();
        strides
    }
}

/// The bytes of an element that no [`DType`] describes, where its type says them.
fn element_size(descr: &str) -> Option<u64> {
    let kind = descr.trim_start_matches(['<', '>', '|', '=']);
    let (letter, number) = (kind.chars().next()?, kind.get(1..)?);
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    let number: u64 = digits.parse().ok()?;
    match letter {
        'U' => number.checked_mul(4),
        _ if letter.is_ascii_alphabetic() => Some(number),
        _ => None,
    }
}

/// What the element type is called, whatever the format.
fn element_name(descr: &str) -> Cow<'static, str> {
    Cow::Borrowed(match descr {
        "<u2" => "u16",
        "<u4" => "u32",
        "<u8" => "u64",
        "<c8" => "c64",
        "<c16" => "c128",
        _ => return Cow::Owned(descr.to_owned()),
    })
}

/// The array in a file, in memory.
///
/// # Errors
/// Those of [`open`], and if a bool in the file is neither 0 nor 1.
pub fn read(path: impl AsRef<Path>) -> Result<Tensor, FileError> {
    open(path)?.read()
}

/// Writes a tensor to a file in row-major order, with the bytes NumPy writes.
///
/// # Errors
/// [`FileProblem::UnsupportedDType`] for `bf16`, which NumPy lacks;
/// [`NpyProblem::TooManyDimensions`], [`FileProblem::Io`].
pub fn write(path: impl AsRef<Path>, tensor: &Tensor) -> Result<(), FileError> {
    let path = path.as_ref();
    let header = header_of(path, tensor)?;
    let mut file = AtomicFile::create(path)?;
    write_parts(&mut file, &header, tensor)
        .map_err(|source| FileError::new(path, FileProblem::from_io(Action::Write, source)))?;
    Ok(file.publish()?)
}

/// Writes a tensor, as the file of that name, to anything that takes bytes.
///
/// # Errors
/// Those of [`write`](fn@write), with `name` as the path.
pub fn write_to(out: impl Write, name: impl AsRef<Path>, tensor: &Tensor) -> Result<(), FileError> {
    let name = name.as_ref();
    let header = header_of(name, tensor)?;
    write_parts(out, &header, tensor)
        .map_err(|source| FileError::new(name, FileProblem::from_io(Action::Write, source)))
}

fn write_parts(mut out: impl Write, header: &[u8], tensor: &Tensor) -> io::Result<()> {
    out.write_all(header)?;
    out.write_all(tensor.bytes())?;
    out.flush()
}

/// Everything in front of the elements.
fn header_of(path: &Path, tensor: &Tensor) -> Result<Vec<u8>, FileError> {
    let dtype = tensor.dtype();
    let Some(descr) = descr_of(dtype) else {
        return Err(FileError::new(
            path,
            FileProblem::UnsupportedDType {
                format: ".npy",
                dtype,
            },
        ));
    };
    if tensor.shape().len() > MAX_DIMENSIONS {
        return Err(FileError::new(path, too_many_dimensions(tensor.shape())));
    }
    let mut text = Header {
        descr: descr.into(),
        fortran_order: false,
        shape: tensor.shape().into(),
    }
    .to_string();
    if let Some(outermost) = tensor.shape().first() {
        let digits = outermost.to_string().len();
        text.push_str(&" ".repeat(GROWTH_DIGITS - digits));
    }
    // Magic, version and length take 10 bytes, the newline one. NumPy pads by 64 rather than by 0.
    let padding = ALIGNMENT - (10 + text.len() + 1) % ALIGNMENT;
    text.push_str(&" ".repeat(padding));
    text.push('\n');

    let mut header = MAGIC.to_vec();
    header.extend([1, 0]);
    // 64 dimensions of 20 digits stay far below 64 KiB.
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    Ok(header)
}

fn too_many_dimensions(shape: &[usize]) -> NpyProblem {
    NpyProblem::TooManyDimensions {
        actual: shape.len(),
        limit: MAX_DIMENSIONS,
    }
}

/// A dtype in NumPy's notation.
fn descr_of(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::Bool => Some("|b1"),
        DType::U8 => Some("|u1"),
        DType::I8 => Some("|i1"),
        DType::I16 => Some("<i2"),
        DType::I32 => Some("<i4"),
        DType::I64 => Some("<i8"),
        DType::F16 => Some("<f2"),
        DType::F32 => Some("<f4"),
        DType::F64 => Some("<f8"),
        DType::BF16 => None,
    }
}

fn dtype_of(descr: &str) -> Result<DType, NpyProblem> {
    let known = DType::ALL
        .into_iter()
        .find(|&dtype| descr_of(dtype) == Some(descr));
    let swapped = || descr.strip_prefix('>').map(|rest| format!("<{rest}"));
    match known {
        Some(dtype) => Ok(dtype),
        None if swapped().is_some_and(|little| dtype_of(&little).is_ok()) => {
            Err(NpyProblem::BigEndian {
                descr: descr.to_owned(),
            })
        }
        None => Err(NpyProblem::UnsupportedDescr {
            descr: descr.to_owned(),
        }),
    }
}
