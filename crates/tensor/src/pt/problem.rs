//! What can be wrong with a PyTorch file.

use crate::budget::Exhausted;
use crate::element_type::ElementType;

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
    #[error(
        "this is a TorchScript program, which torch.jit.save wrote: save its tensors with \
         torch.save(torch.jit.load(FILE).state_dict(), OTHER) and give that file"
    )]
    TorchScript,
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
    /// The pickle has an instruction that is not known.
    #[error(
        "data.pkl has opcode {opcode:#04x} at byte {at}, which pickles of protocols 2 to 5 by torch.save do not use"
    )]
    UnsupportedOpcode { opcode: u8, at: usize },
    /// An instruction finds something else on the stack than it works on.
    #[error("data.pkl is damaged at byte {at}: opcode {opcode:#04x} needs {needs}")]
    BadOperand {
        opcode: u8,
        at: usize,
        needs: &'static str,
    },
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
    /// What the pickle describes takes more memory than it may.
    #[error(
        "what data.pkl describes takes more than {limit} bytes of memory, which is 24 MiB and three times the \
         file, and the most that is read"
    )]
    TooLarge { limit: u64 },
    /// Keys that are long, and named so often that telling them apart would take forever.
    #[error("data.pkl repeats long keys of dicts more often than is read")]
    RepeatedKeys,
    /// Values are nested too deeply, or contain themselves.
    #[error("data.pkl nests values more than {limit} deep, or has one that contains itself")]
    TooDeep { limit: usize },
    /// A dict to write has a key that is neither a string nor an integer.
    #[error("a dict whose key is {found} cannot be written; only strings and integers can")]
    UnsupportedKey { found: String },
    /// A value to write is of a class that is kept and not understood.
    #[error("{what} cannot be written")]
    NotWritten { what: String },
    #[error("the archive lacks entry {entry:?}, which a tensor lies in")]
    MissingStorage { entry: String },
    /// A storage's entry has another size than the pickle says.
    #[error("entry {entry:?} has {actual} bytes, but its {count} {dtype} elements take {expected}")]
    StorageSize {
        entry: String,
        /// The type of its elements.
        dtype: ElementType,
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
    /// Tensors repeat the file's bytes so often that it looks like an attack on memory.
    #[error(
        "the tensors take {bytes} bytes or more, in a file of {file} bytes, and at most {limit} are read: they \
         repeat storages; save copies of the tensors instead of expanded views (`tensor.contiguous()`)"
    )]
    Inflated {
        /// The bytes counted when reading stopped.
        bytes: u64,
        file: u64,
        /// For what is held in memory, twice the file and 24 MiB; for what is read in pieces, 16 times the file
        /// and 32 MiB.
        limit: u64,
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

impl From<Exhausted> for PtProblem {
    fn from(exhausted: Exhausted) -> PtProblem {
        PtProblem::TooLarge {
            limit: exhausted.limit,
        }
    }
}
