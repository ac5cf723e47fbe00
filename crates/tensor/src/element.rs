//! Rust types that can be a tensor's elements, and the storage that keeps them.

use std::fmt::Debug;

use half::{bf16, f16};

use crate::dtype::DType;
use crate::error::TensorError;

/// A Rust type that is the element type of a [`Tensor`](crate::Tensor).
///
/// Sealed: exactly one type stands for each [`DType`], so a view of a tensor never reinterprets
/// its bits.
pub trait Element: sealed::Stored + Copy + Debug + PartialEq + Send + Sync + 'static {
    /// The dtype whose elements are of this type.
    const DTYPE: DType;
}

/// The elements of a tensor, in a vector of their own type.
///
/// Keeping the caller's vector means that making a tensor never copies its elements.
#[derive(Debug)]
pub enum Storage {
    Bool(Vec<bool>),
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

pub(crate) mod sealed {
    use crate::element::Storage;

    pub trait Stored: Sized {
        fn store(data: Vec<Self>) -> Storage;
        fn view(storage: &Storage) -> Option<&[Self]>;
    }
}

macro_rules! elements {
    ($($variant:ident: $type:ty),* $(,)?) => {
        $(
            impl Element for $type {
                const DTYPE: DType = DType::$variant;
            }

            impl sealed::Stored for $type {
                fn store(data: Vec<Self>) -> Storage {
                    Storage::$variant(data)
                }

                fn view(storage: &Storage) -> Option<&[Self]> {
                    match storage {
                        Storage::$variant(data) => Some(data),
                        _ => None,
                    }
                }
            }
        )*

        impl Storage {
            pub(crate) fn dtype(&self) -> DType {
                match self {
                    $(Storage::$variant(_) => DType::$variant,)*
                }
            }

            /// All elements as little-endian bytes.
            pub(crate) fn bytes(&self) -> &[u8] {
                match self {
                    $(Storage::$variant(data) => bytemuck::cast_slice(data),)*
                }
            }
        }
    };
}

elements! {
    Bool: bool,
    U8: u8,
    I8: i8,
    I16: i16,
    I32: i32,
    I64: i64,
    F16: f16,
    BF16: bf16,
    F32: f32,
    F64: f64,
}

impl Storage {
    /// `len` elements whose little-endian bytes `fill` writes, in place where any bytes are valid.
    ///
    /// The outer error is that of `fill`; the inner one is [`TensorError::InvalidBool`].
    pub(crate) fn filled<E>(
        dtype: DType,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<Storage, TensorError>, E> {
        fn elements<T: bytemuck::Pod, E>(
            len: usize,
            fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
        ) -> Result<Vec<T>, E> {
            let mut data = vec![T::zeroed(); len];
            fill(bytemuck::cast_slice_mut(&mut data))?;
            Ok(data)
        }
        Ok(Ok(match dtype {
            DType::Bool => return Ok(bools(elements(len, fill)?).map(Storage::Bool)),
            DType::U8 => Storage::U8(elements(len, fill)?),
            DType::I8 => Storage::I8(elements(len, fill)?),
            DType::I16 => Storage::I16(elements(len, fill)?),
            DType::I32 => Storage::I32(elements(len, fill)?),
            DType::I64 => Storage::I64(elements(len, fill)?),
            DType::F16 => Storage::F16(elements(len, fill)?),
            DType::BF16 => Storage::BF16(elements(len, fill)?),
            DType::F32 => Storage::F32(elements(len, fill)?),
            DType::F64 => Storage::F64(elements(len, fill)?),
        }))
    }
}

fn bools(bytes: Vec<u8>) -> Result<Vec<bool>, TensorError> {
    bytes
        .into_iter()
        .enumerate()
        .map(|(index, byte)| match byte {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(TensorError::InvalidBool { index, byte }),
        })
        .collect()
}
