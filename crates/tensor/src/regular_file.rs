//! Files that are regular ones: no pipes, devices, sockets or folders.
//!
//! Opening a named pipe waits until somebody writes to it, and a device need not end. Whatever reads a file that a
//! user, a manifest or a folder's listing named goes through here, so that neither can happen.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file for reading. Links are followed.
///
/// # Errors
/// When there is none, it cannot be opened, or it is something else than a regular file; that is told without
/// opening it.
pub fn open_regular(path: &Path) -> io::Result<File> {
    check_regular(&fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    // It may have become a pipe since, and opening that would wait for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits() as i32,
    );
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// The bytes of a regular file that has at most `limit` of them.
///
/// # Errors
/// Those of [`open_regular`] and [`read_to_limit`].
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_to_limit(&open_regular(path)?, limit)
}

/// The bytes of a file that has at most `limit` of them, from where it stands.
///
/// # Errors
/// When it cannot be read, or has more; no more than that are read.
pub fn read_to_limit(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let what =
            format!("it has more than the {limit} bytes that are read of a file of its kind");
        io::Error::new(io::ErrorKind::FileTooLarge, what)
    };
    let len = file.metadata()?.len();
    if len > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(len as usize);
    // One more than allowed tells a file that has grown from one that is full.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Refuses what is no regular file.
pub(crate) fn check_regular(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        Ok(())
    } else {
        Err(not_regular(kind(found.file_type())))
    }
}

/// The error about something that is `kind` instead of a regular file.
pub(crate) fn not_regular(kind: &str) -> io::Error {
    let what = format!("it is {kind}, not a regular file");
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn kind(found: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return "a named pipe";
        }
        if found.is_socket() {
            return "a socket";
        }
        if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
    }
    if found.is_dir() {
        "a folder"
    } else {
        "something else"
    }
}
