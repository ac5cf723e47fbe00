//! What can be wrong with a PyTorch file.

use crate::dtype::DType;

/// The most dimensions a tensor can have in PyTorch.
pub(super) const MAX_DIMENSIONS: usize = 64;

/// Why a PyTorch file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PtProblem {
    /// The file is no ZIP archive and nothing else PyTorch writes.
    #[error("this is not a file written by torch.save: it is no ZIP archive")]
    NotAnArchive,
    /// The file begins as an archive but has no end record.
    #[error("the archive has no end record within its {len} bytes: the file is truncated")]
    TruncatedArchive { len: u64 },
    /// The file has PyTorch's format from before the archives.
    #[error(
        "this is PyTorch's legacy format, from before 1.6: load it with torch.load and save it \
         again with torch.save of a newer version"
    )]
    LegacyFormat,
    #[error("the archive's directory is damaged at byte {at}")]
    DamagedDirectory { at: u64 },
    /// The archive is spread over several files.
    #[error("the archive is split over several files, which PyTorch never does")]
    SplitArchive,
    /// The archive's directory does not point to the header of an entry.
    #[error("entry {entry:?} does not begin at byte {at}, where the archive's directory has it")]
    DamagedEntryHeader {
        entry: String,
        /// Where its header should be.
        at: u64,
    },
    #[error("the archive holds entry {entry:?} twice")]
    DuplicateEntry { entry: String },
    #[error("the archive holds an entry whose name is not UTF-8: {entry:?}")]
    EntryNameNotUtf8 {
        /// The name, with what is not UTF-8 replaced.
        entry: String,
    },
    #[error(
        "entry {entry:?} is compressed (method {method}): torch.save stores entries as they are, \
         so this archive was packed by something else; save it again with torch.save"
    )]
    CompressedEntry {
        entry: String,
        /// The ZIP number of the compression method.
        method: u16,
    },
    #[error("entry {entry:?} is encrypted")]
    EncryptedEntry { entry: String },
    /// An entry that is not compressed has two sizes.
    #[error("entry {entry:?} has {size} bytes, of which the archive claims to store {stored}")]
    EntrySizesDiffer {
        entry: String,
        size: u64,
        /// Its size in the archive.
        stored: u64,
    },
    /// The archive has no pickle where PyTorch puts it.
    #[error("this is not a file written by torch.save: the archive holds no data.pkl")]
    NotATorchArchive,
    #[error(
        "the tensors have byte order {order:?}, and only \"little\" can be read; load the file \
         with torch.load on a little-endian machine and save it again"
    )]
    ByteOrder { order: String },
    /// The pickle is larger than any description of tensors should be.
    #[error("data.pkl has {size} bytes, more than the {limit} that are read")]
    PickleTooLarge {
        /// Its size in bytes.
        size: u64,
        limit: u64,
    },
    #[error("data.pkl ends at byte {at}, before the value it describes is complete")]
    PickleEnds { at: usize },
    /// The pickle has a protocol that is not known.
    #[error("data.pkl has pickle protocol {protocol}, and protocols 2 to 5 can be read")]
    PickleProtocol { protocol: u8 },
    /// The pickle has an instruction that no tensor needs.
    #[error("data.pkl has opcode {opcode:#04x} at byte {at}, which files of tensors do not use")]
    UnsupportedOpcode { opcode: u8, at: usize },
    /// An instruction finds something else on the stack than it works on.
    #[error("data.pkl is damaged at byte {at}: opcode {opcode:#04x} needs {needs}")]
    BadOperand {
        opcode: u8,
        at: usize,
        needs: &'static str,
    },
    /// The pickle asks for a class or function that is not among those tensors need.
    #[error(
        "data.pkl asks for {name} at byte {at}, which this reader does not know; it reads \
         tensors, parameters, tuples, lists, dicts, numbers, strings, bools and None only"
    )]
    UnsupportedGlobal { name: String, at: usize },
    /// A known function is called with arguments it does not take.
    #[error("data.pkl calls {function} at byte {at} with wrong arguments: {problem}")]
    BadCall {
        function: &'static str,
        at: usize,
        problem: &'static str,
    },
    /// A text is not UTF-8.
    #[error("data.pkl has a string at byte {at} that is not UTF-8")]
    StringNotUtf8 { at: usize },
    /// An integer does not fit 64 bits.
    #[error("data.pkl has an integer of {bytes} bytes at byte {at}; at most 8 can be read")]
    IntegerTooLarge { at: usize, bytes: usize },
    /// The pickle describes more values than a file of tensors should.
    #[error("data.pkl describes more than {limit} values")]
    TooManyValues { limit: usize },
    /// Values are nested too deeply, or contain themselves.
    #[error("data.pkl nests values more than {limit} deep, or has one that contains itself")]
    TooDeep { limit: usize },
    /// A dict has a key that is neither a string nor an integer.
    #[error("data.pkl has a dict whose key is {found}; only strings and integers are read")]
    UnsupportedKey { found: &'static str },
    /// The pickle's value is a class, a function or a storage.
    #[error("data.pkl holds {found} where a value should be")]
    NotAValue { found: &'static str },
    #[error("the archive lacks entry {entry:?}, which a tensor lies in")]
    MissingStorage { entry: String },
    /// A storage's entry has another size than the pickle says.
    #[error("entry {entry:?} has {actual} bytes, but its {count} {dtype} elements take {expected}")]
    StorageSize {
        entry: String,
        /// The type of its elements.
        dtype: DType,
        /// Their number as the pickle has it.
        count: u64,
        /// Their size in bytes.
        expected: u64,
        /// The entry's size in bytes.
        actual: u64,
    },
    /// A tensor reaches past the end of its storage.
    #[error(
        "a tensor of shape {shape:?}, strides {strides:?} and offset {offset} reaches past the \
         {count} elements of entry {entry:?}"
    )]
    ViewOutOfStorage {
        entry: String,
        shape: Vec<usize>,
        /// Its strides, in elements.
        strides: Vec<usize>,
        offset: usize,
        /// The number of elements in the storage.
        count: u64,
    },
    /// A tensor to write has more dimensions than PyTorch allows.
    #[error("a tensor has {actual} dimensions, more than the {limit} that PyTorch allows")]
    TooManyDimensions { actual: usize, limit: usize },
    /// Tensors and texts repeat the file's bytes so often that it looks like an attack on memory.
    #[error(
        "the value takes {bytes} bytes or more, in a file of {file} bytes: it repeats storages or \
         texts more often than is read; save copies of the tensors instead of expanded views"
    )]
    Inflated {
        /// The bytes counted when reading stopped.
        bytes: u64,
        file: u64,
    },
    /// The file name leaves no name for the folder in the archive.
    #[error("the file name gives no name for the archive's folder; name it like \"tensor.pt\"")]
    NoArchiveName,
    /// A string or entry name is too long for the format.
    #[error("{what} of {len} bytes is too long for the format")]
    TextTooLong {
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
}
