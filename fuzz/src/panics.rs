//! Panics of other people's libraries that a reader catches and turns into errors.

use std::panic::{self, UnwindSafe};
use std::process;
use std::sync::{Mutex, Once, PoisonError};

static LAST: Mutex<String> = Mutex::new(String::new());

/// Runs `read`. libFuzzer ends the process at every panic, even at one that is caught on the way up; here only one
/// that leaves `read` does, with its message.
pub fn only_panics_that_escape(read: impl FnOnce() + UnwindSafe) {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
        }));
    });
    if panic::catch_unwind(read).is_err() {
        let message = LAST.lock().unwrap_or_else(PoisonError::into_inner).clone();
        eprintln!("{message}");
        process::abort();
    }
}
