//! The types of elements that PyTorch has.

use std::borrow::Cow;

use crate::dtype::DType;
use crate::element_type::ElementType;

/// A type of elements, by its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Element(u8);

/// What is known of a type.
struct Known {
    /// The class of its storages, where it has one.
    storage: &'static str,
    /// What PyTorch calls the type.
    torch: &'static str,
    name: &'static str,
    /// Bytes of an element.
    size: usize,
    dtype: Option<DType>,
}

const fn known(storage: &'static str, torch: &'static str, dtype: DType) -> Known {
    Known {
        storage,
        torch,
        name: dtype.name(),
        size: dtype.size(),
        dtype: Some(dtype),
    }
}

const fn bits(
    storage: &'static str,
    torch: &'static str,
    name: &'static str,
    size: usize,
) -> Known {
    Known {
        storage,
        torch,
        name,
        size,
        dtype: None,
    }
}

const TABLE: [Known; 38] = [
    bits("", "", "untyped bytes", 1),
    known("BoolStorage", "bool", DType::Bool),
    known("ByteStorage", "uint8", DType::U8),
    known("CharStorage", "int8", DType::I8),
    known("ShortStorage", "int16", DType::I16),
    known("IntStorage", "int32", DType::I32),
    known("LongStorage", "int64", DType::I64),
    known("HalfStorage", "float16", DType::F16),
    known("BFloat16Storage", "bfloat16", DType::BF16),
    known("FloatStorage", "float32", DType::F32),
    known("DoubleStorage", "float64", DType::F64),
    bits("", "uint16", "u16", 2),
    bits("", "uint32", "u32", 4),
    bits("", "uint64", "u64", 8),
    bits("ComplexHalfStorage", "complex32", "c32", 4),
    bits("ComplexFloatStorage", "complex64", "c64", 8),
    bits("ComplexDoubleStorage", "complex128", "c128", 16),
    bits("", "float8_e4m3fn", "f8_e4m3fn", 1),
    bits("", "float8_e4m3fnuz", "f8_e4m3fnuz", 1),
    bits("", "float8_e5m2", "f8_e5m2", 1),
    bits("", "float8_e5m2fnuz", "f8_e5m2fnuz", 1),
    bits("", "float8_e8m0fnu", "f8_e8m0fnu", 1),
    bits("", "float4_e2m1fn_x2", "f4_e2m1fn_x2", 1),
    bits("QInt8Storage", "qint8", "qint8", 1),
    bits("QUInt8Storage", "quint8", "quint8", 1),
    bits("QInt32Storage", "qint32", "qint32", 4),
    bits("QUInt4x2Storage", "quint4x2", "quint4x2", 1),
    bits("QUInt2x4Storage", "quint2x4", "quint2x4", 1),
    bits("", "bits8", "bits8", 1),
    bits("", "bits16", "bits16", 2),
    bits("", "bits1x8", "bits1x8", 1),
    bits("", "bits2x4", "bits2x4", 1),
    bits("", "bits4x2", "bits4x2", 1),
    bits("", "int1", "int1", 1),
    bits("", "int2", "int2", 1),
    bits("", "int4", "int4", 1),
    bits("", "uint1", "uint1", 1),
    bits("", "uint4", "uint4", 1),
];

impl Element {
    /// Bytes of which nothing else is known.
    pub(crate) const UNTYPED: Element = Element(0);

    /// The type of the elements of storages of a class.
    pub(crate) fn of_storage(class: &str) -> Option<Element> {
        Element::find(|known| known.storage == class && !class.is_empty())
    }

    /// The type that PyTorch calls so.
    pub(crate) fn of_dtype(name: &str) -> Option<Element> {
        Element::find(|known| known.torch == name && !name.is_empty())
    }

    fn find(is: impl Fn(&Known) -> bool) -> Option<Element> {
        TABLE.iter().position(is).map(|place| Element(place as u8))
    }

    fn known(self) -> &'static Known {
        &TABLE[usize::from(self.0)]
    }

    /// Bytes of an element.
    pub(crate) fn size(self) -> usize {
        self.known().size
    }

    /// The dtype, where there is one.
    pub(crate) fn dtype(self) -> Option<DType> {
        self.known().dtype
    }

    pub(crate) fn element_type(self) -> ElementType {
        match self.known() {
            &Known {
                dtype: Some(dtype), ..
            } => ElementType::Known(dtype),
            Known { name, .. } => ElementType::Bits(Cow::Borrowed(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name_and_a_class_of_its_own() {
        for (place, known) in TABLE.iter().enumerate() {
            let element = Some(Element(place as u8));
            assert!(known.torch.is_empty() || Element::of_dtype(known.torch) == element);
            assert!(known.storage.is_empty() || Element::of_storage(known.storage) == element);
        }
        assert!(
            DType::ALL
                .iter()
                .all(|&dtype| TABLE.iter().any(|known| known.dtype == Some(dtype)))
        );
    }
}
