//! What can be wrong with an `.npy` file.

/// Why an `.npy` file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NpyProblem {
    /// The file does not begin as one of NumPy does.
    #[error("this is not an .npy file: it does not begin with \"\\x93NUMPY\"")]
    NotNpy,
    /// The file has a version of the format that is not known.
    #[error("the file has version {major}.{minor} of the format; 1.0, 2.0 and 3.0 can be read")]
    UnsupportedVersion { major: u8, minor: u8 },
    #[error("the header is said to have {len} bytes, more than the {limit} that are read")]
    HeaderTooLarge {
        /// The length in the file.
        len: u64,
        limit: u64,
    },
    /// The header is not the text of a dict with the three keys it should have.
    #[error("the header is damaged at byte {at}: expected {expected}")]
    InvalidHeader { at: usize, expected: &'static str },
    /// The elements have a type that is not known here.
    #[error("the elements have type {descr:?}, which is not supported")]
    UnsupportedDescr {
        /// The type in NumPy's notation.
        descr: String,
    },
    /// The array's elements are pickled.
    #[error(
        "the elements are Python objects, which the file holds as a pickle and which are not read"
    )]
    ObjectArray,
    #[error(
        "the elements are big-endian ({descr:?}); convert the array with \
         a.astype(a.dtype.newbyteorder(\"<\")) and save it again"
    )]
    BigEndian {
        /// The type in NumPy's notation.
        descr: String,
    },
    /// The array has more dimensions than NumPy allows.
    #[error("an array has {actual} dimensions, more than the {limit} that NumPy allows")]
    TooManyDimensions {
        /// Its number of dimensions.
        actual: usize,
        limit: usize,
    },
    /// The elements do not fill the rest of the file.
    #[error("the array takes {expected} bytes, but {actual} follow the header")]
    PayloadSize {
        /// The size of dtype and shape.
        expected: u64,
        /// The bytes that follow the header.
        actual: u64,
    },
}
