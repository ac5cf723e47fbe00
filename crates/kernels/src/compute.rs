//! Where kernels run: the instruction set and the threads.
//!
//! Whoever computes holds a [`Compute`] and hands it on. Nothing that it says changes a bit of a result.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

pub use crate::isa::IsaError;
use crate::isa::{Isa, Scalar};

/// More threads would only take memory from each other.
pub const MAX_THREADS: usize = 1024;

/// What a user asks for; what is unset is chosen by [`Compute::new`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComputeOptions {
    isa: Option<Isa>,
    threads: Option<NonZeroUsize>,
}

impl ComputeOptions {
    /// With the instruction set of that name: scalar, avx2, avx512 or neon.
    ///
    /// # Errors
    /// When there is none of that name, or this machine does not have it.
    pub fn with_isa(self, name: &str) -> Result<ComputeOptions, IsaError> {
        Ok(ComputeOptions {
            isa: Some(Isa::by_name(name)?),
            ..self
        })
    }

    /// With so many threads; `None` leaves their number unset.
    pub fn with_threads(self, threads: Option<NonZeroUsize>) -> ComputeOptions {
        ComputeOptions { threads, ..self }
    }

    /// The name of the instruction set asked for.
    pub fn isa(&self) -> Option<&'static str> {
        self.isa.map(Isa::name)
    }

    /// The number of threads asked for.
    pub fn threads(&self) -> Option<NonZeroUsize> {
        self.threads
    }

    /// What is unset here as `other` has it.
    pub fn or(self, other: ComputeOptions) -> ComputeOptions {
        ComputeOptions {
            isa: self.isa.or(other.isa),
            threads: self.threads.or(other.threads),
        }
    }
}

/// Why there is nothing to compute on.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    #[error("cannot start threads: {0}")]
    Threads(#[from] ThreadPoolBuildError),
    #[error("{0} threads: at most {MAX_THREADS} can be asked for")]
    TooManyThreads(NonZeroUsize),
}

/// An instruction set and, where they were asked for by [`Compute::new`], threads. Cheap to clone: clones
/// share the threads.
///
/// A kernel runs on the thread that calls it. Work that is divided among threads takes those of
/// [`Compute::install`].
#[derive(Clone)]
pub struct Compute {
    isa: Isa,
    pool: Option<Arc<ThreadPool>>,
}

impl Compute {
    /// Starts the threads that `options` ask for, or else one for each processor; the instruction set is the
    /// fastest of this machine where none is asked for.
    ///
    /// # Errors
    /// When the threads cannot be started, or are more than [`MAX_THREADS`].
    pub fn new(options: &ComputeOptions) -> Result<Compute, ComputeError> {
        let threads = match options.threads {
            Some(threads) if threads.get() > MAX_THREADS => {
                return Err(ComputeError::TooManyThreads(threads));
            }
            Some(threads) => threads,
            // Said here, so that it is not rayon that asks the environment.
            None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .build()?;
        Ok(Compute {
            isa: options.isa.unwrap_or_else(Isa::fastest),
            pool: Some(Arc::new(pool)),
        })
    }

    /// The fastest instruction set of this machine, on the caller's threads.
    pub fn fastest() -> Compute {
        Compute::on_callers_threads(Isa::fastest())
    }

    /// No vector instructions, on the caller's threads: what every machine has.
    pub fn scalar() -> Compute {
        Compute::on_callers_threads(Isa::Scalar(Scalar))
    }

    /// Each instruction set of this machine, slowest first, on the caller's threads. Never empty.
    pub fn available() -> Vec<Compute> {
        let isas = Isa::available().into_iter();
        isas.map(Compute::on_callers_threads).collect()
    }

    fn on_callers_threads(isa: Isa) -> Compute {
        Compute { isa, pool: None }
    }

    /// Runs `work`, what is parallel in it on these threads.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// The number of threads that [`Compute::install`] runs work on.
    pub fn threads(&self) -> usize {
        match &self.pool {
            Some(pool) => pool.current_num_threads(),
            None => rayon::current_num_threads(),
        }
    }

    /// Whether dividing work among the threads that the caller is on can gain anything: there are several, and the
    /// caller's own holds nothing else that an idle one would take up first.
    ///
    /// Results never depend on it, only how they are divided. Where batches, or queries, are divided already, to divide
    /// each of them again costs more than it gains: weights are read once for each part, and whoever waits for its other
    /// part takes up a whole batch meanwhile.
    pub fn threads_to_spare(&self) -> bool {
        let pool = self.pool.as_ref();
        let waiting = pool.and_then(|pool| pool.current_thread_has_pending_tasks());
        rayon::current_num_threads() > 1 && waiting != Some(true)
    }

    /// The name of the instruction set.
    pub fn isa_name(&self) -> &'static str {
        self.isa.name()
    }

    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }
}

impl Default for Compute {
    fn default() -> Compute {
        Compute::fastest()
    }
}

/// The name of the instruction set.
impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.isa_name())
    }
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} threads", self.isa_name(), self.threads())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_fill_each_others_gaps() {
        let three = ComputeOptions::default().with_threads(NonZeroUsize::new(3));
        let scalar = ComputeOptions::default().with_isa("scalar").unwrap();
        let both = three.or(scalar.with_threads(NonZeroUsize::new(5)));
        assert_eq!(both.isa(), Some("scalar"));
        assert_eq!(both.threads(), NonZeroUsize::new(3));
    }

    #[test]
    fn work_runs_on_as_many_threads_as_were_asked_for() {
        let options = ComputeOptions::default().with_threads(NonZeroUsize::new(3));
        let compute = Compute::new(&options).unwrap();
        let seen = compute.clone().install(rayon::current_num_threads);
        assert_eq!((compute.threads(), seen), (3, 3));
    }

    #[test]
    fn more_threads_than_anybody_has_use_for_are_refused() {
        let many = ComputeOptions::default().with_threads(NonZeroUsize::new(MAX_THREADS + 1));
        let error = Compute::new(&many).unwrap_err().to_string();
        assert!(error.contains("1025 threads"), "{error}");
    }

    #[test]
    fn the_fastest_instruction_set_is_the_last_of_those_there_are() {
        let available = Compute::available();
        let last = available.last().map(Compute::isa_name);
        assert_eq!(last, Some(Compute::fastest().isa_name()));
        assert_eq!(available[0].isa_name(), "scalar");
    }
}
