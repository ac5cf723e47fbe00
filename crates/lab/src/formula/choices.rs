//! What the formulas of the list are put together from.

/// What a formula is given to: its words and its values for a sweep.
pub(super) type Hold<'a> = dyn FnMut(String, &[f32]) + 'a;

/// One choice of several, with its words.
pub(super) type Named<T> = (&'static str, T);

/// A function of one value.
pub(super) type Unary = fn(f32) -> f32;

/// A function of two values.
pub(super) type Binary = fn(f32, f32) -> f32;

/// `a·b + c`, rounded once or twice.
pub(super) fn product_sum(a: f32, b: f32, c: f32, fused: bool) -> f32 {
    if fused { a.mul_add(b, c) } else { a * b + c }
}
