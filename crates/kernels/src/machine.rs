//! What an instruction set does in its own way: the few operations that a kernel's body is written over.
//!
//! Every operation has one result, which its documentation states; a machine chooses the instructions. The
//! bodies are generic over [`Machine`] and are compiled for each by `on_isa!` (see `isa.rs`).

#[cfg(target_arch = "aarch64")]
use crate::isa::Neon;
use crate::isa::Scalar;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::lanes::Lanes;
use crate::reduction::LANES;

/// An instruction set as the bodies see it. Its values are the proofs of [`crate::isa`], without which none of its
/// instructions can be executed.
pub trait Machine: Copy {
    /// Panels of sixteen outputs that a register tile covers, 1, 2 or 4: as many as leave no sum of a chain
    /// without a register.
    const PANELS: usize;

    /// `a * b + c` with a single rounding to nearest even.
    fn fma(self, a: f32, b: f32, c: f32) -> f32;

    /// `scale * x + sum` lane by lane, each with a single rounding to nearest even.
    ///
    /// The machines of x86-64 name the instruction. From a loop the compiler makes it where a body is small, and
    /// where it is large now and then something that is ten times as slow, such as lanes scattered over memory.
    #[inline(always)]
    fn fma_lanes(self, scale: f32, x: &[f32; LANES], sum: Lanes) -> Lanes {
        let mut out = sum;
        for l in 0..LANES {
            out.0[l] = self.fma(scale, x[l], out.0[l]);
        }
        out
    }

    /// The larger of `most` and the magnitude of `x`, lane by lane, magnitudes as bits: their order is that of
    /// numbers, with infinity and NaN above them.
    #[inline(always)]
    fn largest_magnitudes(self, most: &mut Bits, x: &[f32; LANES]) {
        for l in 0..LANES {
            most.0[l] = most.0[l].max((x[l].to_bits() & MAGNITUDE).cast_signed());
        }
    }

    /// Which lanes are larger than `than`: bit `l` is that of lane `l`. NaN is not larger than anything.
    #[inline(always)]
    fn larger(self, lanes: &Lanes, than: f32) -> u16 {
        let mut larger = 0;
        for l in 0..LANES {
            larger |= u16::from(lanes.0[l] > than) << l;
        }
        larger
    }

    /// The entry of `table` that each index names, lane by lane. Indices count modulo sixteen.
    #[inline(always)]
    fn lookup(self, table: &Lanes, indices: &[i32; LANES]) -> Lanes {
        Lanes(indices.map(|index| table.0[index as usize % LANES]))
    }

    /// Writes for each plane of fields of `NBITS` bits, from the most significant of a byte on, the entries of `table` that
    /// those of all bytes name, plane after plane. An entry does not depend on what lies above a field's bits. Up to 63
    /// bytes more may be written, where there are as many.
    #[inline(always)]
    fn planes<const NBITS: usize>(self, table: &[u8; 16], bytes: &[u8], out: &mut [u8]) {
        let planes = out.chunks_exact_mut(bytes.len().max(1));
        for (plane, out) in planes.take(8 / NBITS).enumerate() {
            for (out, byte) in out.iter_mut().zip(bytes) {
                *out = table[usize::from(byte >> (8 - NBITS * (plane + 1)) & 15)];
            }
        }
    }

    /// The product of each number with `by`, after both are rounded to `f32`.
    #[inline(always)]
    fn scaled(self, numbers: &[i32; LANES], by: f32) -> Lanes {
        let mut out = Lanes::ZERO;
        for l in 0..LANES {
            out.0[l] = numbers[l] as f32 * by;
        }
        out
    }
}

/// Sixteen numbers as bits.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Bits(pub [i32; LANES]);

/// All bits of an `f32` but that of the sign.
const MAGNITUDE: u32 = 0x7fff_ffff;

impl Machine for Scalar {
    const PANELS: usize = 1;

    /// The product of two `f32` is exact in `f64`. Their sum with `c` is rounded to odd (Boldo and
    /// Melquiond, "Emulation of FMA and correctly rounded sums", 2008): with 53 bits against 24, the
    /// second rounding to `f32` then gives what a single rounding would have given.
    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        let product = f64::from(a) * f64::from(b);
        let addend = f64::from(c);
        let sum = product + addend;
        // TwoSum (Knuth): the exact error of the addition. Never overflows: both operands are products
        // or values of f32, far inside the range of f64. NaN for infinite or NaN operands, where the
        // sum is already right.
        let virtual_addend = sum - product;
        let error = (product - (sum - virtual_addend)) + (addend - virtual_addend);
        let bits = sum.to_bits();
        let inexact_and_even = (error != 0.0) & !error.is_nan() & (bits & 1 == 0);
        // Towards the error: one step away from zero when the signs agree, else one step towards it.
        let towards = if (error > 0.0) == (sum > 0.0) {
            bits.wrapping_add(1)
        } else {
            bits.wrapping_sub(1)
        };
        f64::from_bits(if inexact_and_even { towards } else { bits }) as f32
    }
}

#[cfg(target_arch = "x86_64")]
impl Machine for Avx2 {
    /// Sixteen registers of eight lanes.
    const PANELS: usize = 1;

    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn fma_lanes(self, scale: f32, x: &[f32; LANES], sum: Lanes) -> Lanes {
        use std::arch::x86_64::*;
        let mut out = sum;
        // SAFETY: `self` proves AVX2 and FMA. Loads and stores are of the halves of arrays of sixteen;
        // those of `Lanes` are aligned to 64 bytes.
        unsafe {
            let scale = _mm256_set1_ps(scale);
            for half in [0, 8] {
                let x = _mm256_loadu_ps(x.as_ptr().add(half));
                let sum = _mm256_load_ps(sum.0.as_ptr().add(half));
                let sum = _mm256_fmadd_ps(scale, x, sum);
                _mm256_store_ps(out.0.as_mut_ptr().add(half), sum);
            }
        }
        out
    }

    #[inline(always)]
    fn largest_magnitudes(self, most: &mut Bits, x: &[f32; LANES]) {
        use std::arch::x86_64::*;
        // SAFETY: `self` proves AVX2. Loads and stores are of the halves of arrays of sixteen; those of `Bits`
        // are aligned to 64 bytes.
        unsafe {
            let magnitude = _mm256_set1_epi32(MAGNITUDE.cast_signed());
            for half in [0, 8] {
                let x = _mm256_loadu_si256(x.as_ptr().add(half).cast());
                let most = most.0.as_mut_ptr().add(half).cast();
                let larger =
                    _mm256_max_epi32(_mm256_load_si256(most), _mm256_and_si256(x, magnitude));
                _mm256_store_si256(most, larger);
            }
        }
    }

    #[inline(always)]
    fn larger(self, lanes: &Lanes, than: f32) -> u16 {
        use std::arch::x86_64::*;
        // SAFETY: `self` proves AVX2. The loads are of the halves of an array of sixteen that is aligned to 64 bytes.
        unsafe {
            let than = _mm256_set1_ps(than);
            let low = _mm256_cmp_ps::<_CMP_GT_OQ>(_mm256_load_ps(lanes.0.as_ptr()), than);
            let high = _mm256_cmp_ps::<_CMP_GT_OQ>(_mm256_load_ps(lanes.0.as_ptr().add(8)), than);
            (_mm256_movemask_ps(low) | _mm256_movemask_ps(high) << 8) as u16
        }
    }

    #[inline(always)]
    fn lookup(self, table: &Lanes, indices: &[i32; LANES]) -> Lanes {
        use std::arch::x86_64::*;
        let mut out = Lanes::ZERO;
        // SAFETY: `self` proves AVX2. Loads and stores are of eight values inside arrays of sixteen.
        unsafe {
            let low = _mm256_loadu_ps(table.0.as_ptr());
            let high = _mm256_loadu_ps(table.0.as_ptr().add(8));
            for half in [0, 8] {
                let index = _mm256_loadu_si256(indices.as_ptr().add(half).cast());
                // The permutations read three bits of an index, the blend the sign: bit 3 moved there.
                let in_high = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index));
                let entry = _mm256_blendv_ps(
                    _mm256_permutevar8x32_ps(low, index),
                    _mm256_permutevar8x32_ps(high, index),
                    in_high,
                );
                _mm256_storeu_ps(out.0.as_mut_ptr().add(half), entry);
            }
        }
        out
    }

    #[inline(always)]
    fn planes<const NBITS: usize>(self, table: &[u8; 16], bytes: &[u8], out: &mut [u8]) {
        use std::arch::x86_64::*;
        let (whole, rest) = bytes.as_chunks::<16>();
        let planes = out.chunks_exact_mut(bytes.len().max(1));
        for (plane, out) in planes.take(8 / NBITS).enumerate() {
            let shift = 8 - NBITS * (plane + 1);
            let (entries, rest_of_out) = out.as_chunks_mut::<16>();
            for (bytes, out) in whole.iter().zip(entries) {
                // SAFETY: `self` proves AVX2. Loads and the store are of whole arrays of 16 bytes.
                unsafe {
                    let table = _mm_loadu_si128(table.as_ptr().cast());
                    let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
                    let fields = _mm_srl_epi16(bytes, _mm_cvtsi32_si128(shift as i32));
                    let fields = _mm_and_si128(fields, _mm_set1_epi8(15));
                    _mm_storeu_si128(out.as_mut_ptr().cast(), _mm_shuffle_epi8(table, fields));
                }
            }
            for (out, byte) in rest_of_out.iter_mut().zip(rest) {
                *out = table[usize::from(byte >> shift & 15)];
            }
        }
    }

    #[inline(always)]
    fn scaled(self, numbers: &[i32; LANES], by: f32) -> Lanes {
        use std::arch::x86_64::*;
        let mut out = Lanes::ZERO;
        // SAFETY: `self` proves AVX2. Loads and stores are of the halves of arrays of sixteen; those of `Lanes` are
        // aligned to 64 bytes.
        unsafe {
            for half in [0, 8] {
                let numbers = _mm256_loadu_si256(numbers.as_ptr().add(half).cast());
                let product = _mm256_mul_ps(_mm256_cvtepi32_ps(numbers), _mm256_set1_ps(by));
                _mm256_store_ps(out.0.as_mut_ptr().add(half), product);
            }
        }
        out
    }
}

#[cfg(target_arch = "x86_64")]
impl Machine for Avx512 {
    /// Thirty-two registers of sixteen lanes.
    const PANELS: usize = 4;

    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn fma_lanes(self, scale: f32, x: &[f32; LANES], sum: Lanes) -> Lanes {
        use std::arch::x86_64::*;
        let mut out = sum;
        // SAFETY: `self` proves AVX-512 F. Loads and the store are of whole arrays of sixteen; those of
        // `Lanes` are aligned to 64 bytes.
        unsafe {
            let x = _mm512_loadu_ps(x.as_ptr());
            let sum = _mm512_load_ps(sum.0.as_ptr());
            let sum = _mm512_fmadd_ps(_mm512_set1_ps(scale), x, sum);
            _mm512_store_ps(out.0.as_mut_ptr(), sum);
        }
        out
    }

    #[inline(always)]
    fn largest_magnitudes(self, most: &mut Bits, x: &[f32; LANES]) {
        use std::arch::x86_64::*;
        // SAFETY: `self` proves AVX-512 F. Loads and the store are of whole arrays of sixteen; those of
        // `Bits` are aligned to 64 bytes.
        unsafe {
            let x = _mm512_loadu_si512(x.as_ptr().cast());
            let magnitudes = _mm512_and_si512(x, _mm512_set1_epi32(MAGNITUDE.cast_signed()));
            let most = most.0.as_mut_ptr().cast();
            _mm512_store_si512(most, _mm512_max_epi32(_mm512_load_si512(most), magnitudes));
        }
    }

    #[inline(always)]
    fn larger(self, lanes: &Lanes, than: f32) -> u16 {
        use std::arch::x86_64::*;
        // SAFETY: `self` proves AVX-512 F. The load is of a whole array of sixteen that is aligned to 64 bytes.
        unsafe {
            let lanes = _mm512_load_ps(lanes.0.as_ptr());
            _mm512_cmp_ps_mask::<_CMP_GT_OQ>(lanes, _mm512_set1_ps(than))
        }
    }

    #[inline(always)]
    fn lookup(self, table: &Lanes, indices: &[i32; LANES]) -> Lanes {
        use std::arch::x86_64::*;
        let mut out = Lanes::ZERO;
        // SAFETY: `self` proves AVX-512 F. Loads and the store are of whole arrays of sixteen.
        unsafe {
            let entries = _mm512_permutexvar_ps(
                _mm512_loadu_si512(indices.as_ptr().cast()),
                _mm512_loadu_ps(table.0.as_ptr()),
            );
            _mm512_storeu_ps(out.0.as_mut_ptr(), entries);
        }
        out
    }

    #[inline(always)]
    fn planes<const NBITS: usize>(self, table: &[u8; 16], bytes: &[u8], out: &mut [u8]) {
        use std::arch::x86_64::*;
        if out.len() < (8 / NBITS) * bytes.len() + 63 {
            return self.avx2().planes::<NBITS>(table, bytes, out);
        }
        for plane in 0..8 / NBITS {
            let (mut bytes, mut out) = (bytes, &mut out[plane * bytes.len()..]);
            while let Some(to) = out.first_chunk_mut::<64>() {
                // SAFETY: `self` proves AVX-512 F and BW. The load is of the bytes alone that the mask names, which
                // `bytes` has: it has some, and `there` no more. The store is of a whole array.
                unsafe {
                    let there = u64::MAX >> (64 - bytes.len().clamp(1, 64));
                    let there = if bytes.is_empty() { 0 } else { there };
                    let shift = _mm_cvtsi32_si128((8 - NBITS * (plane + 1)) as i32);
                    let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
                    let bytes = _mm512_maskz_loadu_epi8(there, bytes.as_ptr().cast());
                    let fields = _mm512_srl_epi16(bytes, shift);
                    let fields = _mm512_and_si512(fields, _mm512_set1_epi8(15));
                    _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_shuffle_epi8(table, fields));
                }
                if bytes.len() <= 64 {
                    break;
                }
                (bytes, out) = (&bytes[64..], &mut out[64..]);
            }
        }
    }

    #[inline(always)]
    fn scaled(self, numbers: &[i32; LANES], by: f32) -> Lanes {
        use std::arch::x86_64::*;
        let mut out = Lanes::ZERO;
        // SAFETY: `self` proves AVX-512 F. The load and the store are of whole arrays of sixteen; that of `Lanes` is
        // aligned to 64 bytes.
        unsafe {
            let numbers = _mm512_loadu_si512(numbers.as_ptr().cast());
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(numbers), _mm512_set1_ps(by));
            _mm512_store_ps(out.0.as_mut_ptr(), product);
        }
        out
    }
}

#[cfg(target_arch = "aarch64")]
impl Machine for Neon {
    /// Thirty-two registers of four lanes.
    const PANELS: usize = 1;

    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_f32() -> impl Strategy<Value = f32> {
        any::<u32>().prop_map(f32::from_bits)
    }

    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_emulated_fma_equals_the_fused_one(a in any_f32(), b in any_f32(), c in any_f32()) {
            prop_assert!(same(Scalar.fma(a, b, c), a.mul_add(b, c)), "{a:e} {b:e} {c:e}");
        }

        #[test]
        fn it_does_so_where_the_product_nearly_cancels(a in any_f32(), b in any_f32(), ulps in -4i32..4) {
            let c = -(a * b);
            let c = f32::from_bits((c.to_bits() as i32).wrapping_add(ulps) as u32);
            prop_assert!(same(Scalar.fma(a, b, c), a.mul_add(b, c)), "{a:e} {b:e} {c:e}");
        }

        #[test]
        fn it_does_so_half_way_between_two_results(a in 1u32..1 << 12, b in 1u32..1 << 12, tiny in -3i32..3) {
            // 2^24 is where f32 steps become 2, so odd sums are ties and `tiny` breaks them.
            let (a, b) = (a as f32, b as f32);
            let c = 16_777_216.0 + tiny as f32 * 2f32.powi(-30);
            prop_assert!(same(Scalar.fma(a, b, c), a.mul_add(b, c)));
            prop_assert!(same(Scalar.fma(a, b * 2f32.powi(-40), c), a.mul_add(b * 2f32.powi(-40), c)));
        }
    }
}
