//! GELU, elementwise.

use crate::elementary::{gelu_erf, gelu_tanh};
use crate::isa::{Isa, on_isa};
use crate::lanes::Fma;

/// Which formula of GELU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gelu {
    /// `x · (1 + erf(x / √2)) / 2`: BERT's own.
    #[default]
    Erf,
    /// The tanh form, which some exports and kernels put in its place.
    Tanh,
}

/// Applies GELU to every element of `x` in place. Rounds once, from `f64`; see [`crate::elementary`].
pub fn gelu(isa: Isa, form: Gelu, x: &mut [f32]) {
    match form {
        Gelu::Erf => on_isa!(isa, erf_body(x: &mut [f32])),
        Gelu::Tanh => on_isa!(isa, tanh_body(x: &mut [f32])),
    }
}

#[inline(always)]
fn erf_body<A: Fma>(x: &mut [f32]) {
    for value in x {
        *value = gelu_erf(*value);
    }
}

#[inline(always)]
fn tanh_body<A: Fma>(x: &mut [f32]) {
    for value in x {
        *value = gelu_tanh(*value);
    }
}
