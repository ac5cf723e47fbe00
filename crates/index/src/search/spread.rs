//! Work in parts, and what its threads reuse.

use std::sync::{Mutex, PoisonError};

use concord_kernels::compute::Compute;
use rayon::prelude::*;

/// Does `work` on each part, divided among the threads of the pool that the caller is in. A caller outside of any pool
/// does it by itself, and so does one whose thread has other queries waiting, which idle threads take up first. The parts
/// are the same for any number of threads.
pub(super) fn each<T: Send>(
    compute: &Compute,
    parts: impl Iterator<Item = T>,
    work: impl Fn(T) + Send + Sync,
) {
    if rayon::current_thread_index().is_some() && compute.threads_to_spare() {
        let parts: Vec<T> = parts.collect();
        parts.into_par_iter().for_each(&work);
    } else {
        parts.for_each(&work);
    }
}

/// Things that are made once and used by one after another: as many as were ever needed at the same time.
///
/// Not thread-locals: a thread that waits for parts of its query may take up another query meanwhile.
pub(super) struct Pool<T>(Mutex<Vec<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool(Mutex::default())
    }
}

impl<T: Default> Pool<T> {
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = lock().pop();
        let mut thing = free.unwrap_or_default();
        let result = work(&mut thing);
        lock().push(thing);
        result
    }
}
