//! The matrix products of other libraries, which the lab compares with the contract's own.
//!
//! In which order they add is their own affair, and may depend on the machine and on the shape. Each is
//! called on one thread, so that it does not depend on their number as well.

/// A library with a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The `matrixmultiply` crate, `sgemm`.
    MatrixMultiply,
    /// The `gemm` crate, which `faer` and `candle` compute with.
    Gemm,
    /// OpenBLAS, `cblas_sgemm`, as the system has it.
    #[cfg(feature = "openblas")]
    OpenBlas,
}

impl Library {
    /// All that this program was built with.
    pub const ALL: &[Library] = &[
        Library::MatrixMultiply,
        Library::Gemm,
        #[cfg(feature = "openblas")]
        Library::OpenBlas,
    ];

    /// What it is called in `gemm=NAME`.
    pub fn name(self) -> &'static str {
        match self {
            Library::MatrixMultiply => "matrixmultiply",
            Library::Gemm => "gemm",
            #[cfg(feature = "openblas")]
            Library::OpenBlas => "openblas",
        }
    }

    /// `y = x · wᵀ` for `x` `(m, k)`, `w` `(n, k)` and `y` `(m, n)`, all row-major.
    ///
    /// # Panics
    /// When a length does not match its shape.
    pub fn product(self, [m, n, k]: [usize; 3], x: &[f32], w: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), m * k, "x is (m, k)");
        assert_eq!(w.len(), n * k, "w is (n, k)");
        assert_eq!(y.len(), m * n, "y is (m, n)");
        if m * n * k == 0 {
            return y.fill(0.0);
        }
        match self {
            Library::MatrixMultiply => matrix_multiply([m, n, k], x, w, y),
            Library::Gemm => gemm_crate([m, n, k], x, w, y),
            #[cfg(feature = "openblas")]
            Library::OpenBlas => openblas::product([m, n, k], x, w, y),
        }
    }
}

fn matrix_multiply([m, n, k]: [usize; 3], x: &[f32], w: &[f32], y: &mut [f32]) {
    let (x, w, y) = (x.as_ptr(), w.as_ptr(), y.as_mut_ptr());
    let (columns_of_x, columns_of_y) = (k as isize, n as isize);
    // SAFETY: `x` is (m, k), `w` is (n, k) read as its transpose (k, n), and `y` is (m, n), each with the
    // strides given; `Library::product` has checked their lengths. Nothing else refers to `y`.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            x,
            columns_of_x,
            1,
            w,
            1,
            columns_of_x,
            0.0,
            y,
            columns_of_y,
            1,
        );
    }
}

fn gemm_crate([m, n, k]: [usize; 3], x: &[f32], w: &[f32], y: &mut [f32]) {
    let (columns_of_x, columns_of_y) = (k as isize, n as isize);
    // SAFETY: as for `matrix_multiply`; of two strides this library takes that of the columns first. What
    // `y` held is not read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            y.as_mut_ptr(),
            1,
            columns_of_y,
            false,
            x.as_ptr(),
            1,
            columns_of_x,
            w.as_ptr(),
            columns_of_x,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(feature = "openblas")]
mod openblas {
    use std::ffi::{c_float, c_int};
    use std::sync::Once;

    /// `CBLAS_ORDER` and `CBLAS_TRANSPOSE` of cblas.h.
    const ROW_MAJOR: c_int = 101;
    const NO_TRANSPOSE: c_int = 111;
    const TRANSPOSE: c_int = 112;

    #[link(name = "openblas")]
    unsafe extern "C" {
        fn openblas_set_num_threads(threads: c_int);
        fn cblas_sgemm(
            order: c_int,
            transpose_a: c_int,
            transpose_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: c_float,
            a: *const c_float,
            lda: c_int,
            b: *const c_float,
            ldb: c_int,
            beta: c_float,
            c: *mut c_float,
            ldc: c_int,
        );
    }

    pub(super) fn product(shape: [usize; 3], x: &[f32], w: &[f32], y: &mut [f32]) {
        static ONE_THREAD: Once = Once::new();
        // SAFETY: it takes any positive number, and is called once, before any product.
        ONE_THREAD.call_once(|| unsafe { openblas_set_num_threads(1) });
        let [m, n, k] = shape.map(|size| c_int::try_from(size).expect("a matrix side under 2^31"));
        // SAFETY: `x` is (m, k), `w` is (n, k) of which the transpose is taken, `y` is (m, n), all
        // row-major without gaps; `Library::product` has checked their lengths, and that none is empty,
        // for which leading dimensions of zero would be refused. Nothing else refers to `y`.
        unsafe {
            cblas_sgemm(
                ROW_MAJOR,
                NO_TRANSPOSE,
                TRANSPOSE,
                m,
                n,
                k,
                1.0,
                x.as_ptr(),
                k,
                w.as_ptr(),
                k,
                0.0,
                y.as_mut_ptr(),
                n,
            );
        }
    }
}
