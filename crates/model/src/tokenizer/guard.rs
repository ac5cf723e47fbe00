//! Calls of a library that may panic on what a user's file holds.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside such a call, where a panic is an error like any other and not told.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns, or, if it panics, the text of the panic, of which nothing is printed.
///
/// The process's panic hook is replaced once by one that passes every panic outside of such calls on to the hook
/// that was there. `work` runs on the calling thread, and what it changed is not to be used after a panic.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        text.unwrap_or("no reason given").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_its_text_and_what_follows_is_not_guarded() {
        assert_eq!(guarded(|| 3), Ok(3));
        assert_eq!(
            guarded(|| panic!("broken {}", 7)),
            Err::<(), _>("broken 7".to_owned())
        );
        assert_eq!(
            guarded(|| panic!("plain")),
            Err::<(), _>("plain".to_owned())
        );
        assert!(!GUARDED.get());
        let nested = guarded(|| (guarded(|| panic!("inner")), GUARDED.get()));
        assert_eq!(nested, Ok((Err::<(), _>("inner".to_owned()), true)));
    }
}
