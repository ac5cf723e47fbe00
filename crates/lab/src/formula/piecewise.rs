//! The error function of `x / √2` by polynomials in pieces, as oneDNN computes it since version 3.
//!
//! The algorithm and its constants are known from oneDNN's public sources
//! (`jit_uni_eltwise_injector.cpp`) and stand in the programs that PyTorch 2.8.0 and 2.10.0 are made of;
//! that PyTorch from 2.1.0 on computes GELU with them where a processor has AVX-512 was measured.

use super::choices::product_sum;

/// Beyond it the error function is taken to be 1: 5.5425939.
const BOUND: f32 = f32::from_bits(0x40b1_5cee);

/// From here on, 0.109375, there are four pieces to a power of two; the first one is for all that is below,
/// too.
const FIRST: i32 = 0x3de0_0001;

/// The coefficients of each piece in bits, that of degree 0 first. The last piece is 1. oneDNN has one more
/// in front, which its index never reaches.
#[rustfmt::skip]
const PIECES: [[u32; 6]; 23] = [
    [0x3282_7792, 0x3f4c_421f, 0x3735_e4cf, 0xbe08_4570, 0x39f0_97a3, 0x3c9b_6050],
    [0x3381_cc0c, 0x3f4c_4207, 0x37f2_ff89, 0xbe08_639b, 0x3a58_45dc, 0x3c97_8d11],
    [0x3452_3d4a, 0x3f4c_41cb, 0x388c_23be, 0xbe08_9837, 0x3ab1_fa35, 0x3c92_e850],
    [0x351a_c44d, 0x3f4c_413b, 0x3917_535c, 0xbe08_f409, 0x3b0c_efb8, 0x3c8d_058b],
    [0x35f3_6d88, 0x3f4c_3fad, 0x39ab_2ab0, 0xbe09_ab95, 0x3b65_3ab6, 0x3c84_8454],
    [0x36ee_8229, 0x3f4c_3a2f, 0x3a60_fadb, 0xbe0b_66d0, 0x3bca_e527, 0x3c6c_d623],
    [0x37b8_a3bb, 0x3f4c_2d40, 0x3af9_b960, 0xbe0e_400a, 0x3c22_1712, 0x3c4c_824b],
    [0x3867_a213, 0x3f4c_146a, 0x3b6e_5491, 0xbe12_4df8, 0x3c6c_5840, 0x3c2a_7935],
    [0x3940_033b, 0x3f4b_c341, 0x3c0a_4ec5, 0xbe1b_de02, 0x3cc0_a703, 0x3be0_b390],
    [0x3a2a_5a1d, 0x3f4a_d08c, 0x3ca5_aa8c, 0xbe2f_19c9, 0x3d1d_cc19, 0x3b06_51ac],
    [0x3ae3_5863, 0x3f48_f8cf, 0x3d21_38d9, 0xbe49_31bf, 0x3d63_656d, 0xbb23_2f53],
    [0x3b78_28f2, 0x3f45_fac7, 0x3d87_37d4, 0xbe68_5fbc, 0x3d95_5907, 0xbbd4_2fa0],
    [0x3c08_b14b, 0x3f40_4e07, 0x3ddf_b660, 0xbe89_c95f, 0x3dbf_9910, 0xbc2c_5366],
    [0x3c51_5ed3, 0x3f3b_980f, 0x3e0f_27ab, 0xbe96_cbca, 0x3dd5_3f69, 0xbc49_2c9e],
    [0xbb50_3236, 0x3f48_dff3, 0x3d94_004b, 0xbe80_44aa, 0x3db7_dcef, 0xbc2a_7aa6],
    [0xbd8d_8e5e, 0x3f78_b21b, 0xbe0e_fdeb, 0xbe05_50f2, 0x3d63_9ebe, 0xbbd5_5d04],
    [0xbe8a_bcd9, 0x3fbb_0704, 0xbf1d_96c3, 0x3dcf_d6a1, 0xba6e_de48, 0xba82_3a76],
    [0xbf0c_19a2, 0x4001_9c32, 0xbf89_db58, 0x3e94_c826, 0xbd22_be69, 0x3b10_2aa8],
    [0xbecc_b328, 0x3fe5_36d6, 0xbf6d_9897, 0x3e79_345f, 0xbd04_1cf1, 0x3ae2_5a7e],
    [0x3e17_6ced, 0x3f81_331e, 0xbef6_9fb8, 0x3dec_ec91, 0xbc64_f5ab, 0x3a31_f792],
    [0x3f47_0d99, 0x3e6c_8684, 0xbdc4_f8a8, 0x3ca4_6568, 0xbb09_7a32, 0x38b8_4375],
    [0x3f7a_bb28, 0x3c98_f936, 0xbbde_6422, 0x3aa1_e00a, 0xb8eb_f380, 0x3689_bb5a],
    [0x3f80_0000, 0, 0, 0, 0, 0],
];

/// `erf(x / √2)` for `x ≥ 0` by a polynomial of degree 5 in `x` itself, fused or not, whose coefficients depend
/// on the exponent of `x` and two bits of its significand.
pub(super) fn erf_in_pieces(x: f32, fused: bool) -> f32 {
    let piece = ((x.to_bits() as i32).wrapping_sub(FIRST) >> 21).max(1) as usize - 1;
    let piece = if x > BOUND { PIECES.len() - 1 } else { piece };
    let Some(coefficients) = PIECES.get(piece) else {
        return x; // no number
    };
    let coefficients = coefficients.iter().rev().map(|&bits| f32::from_bits(bits));
    coefficients
        .reduce(|sum, c| product_sum(sum, x, c, fused))
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_model::referee::elementary::erfc;

    #[test]
    fn the_pieces_are_near_the_true_erf_and_meet() {
        for bits in (0..0x4120_0000).step_by(9973) {
            let x = f32::from_bits(bits);
            let truth = 1.0 - erfc(f64::from(x) / std::f64::consts::SQRT_2);
            for fused in [true, false] {
                let error = f64::from(erf_in_pieces(x, fused)) - truth;
                assert!(error.abs() < 2e-6, "{x}: {error}");
            }
        }
        for piece in 0..22 {
            let last = f32::from_bits(FIRST as u32 - 1 + ((piece + 1) << 21));
            let step = erf_in_pieces(last.next_up(), true) - erf_in_pieces(last, true);
            assert!(step.abs() < 4e-6, "{piece}: {step}");
        }
    }

    #[test]
    fn the_ends_are_zero_and_one() {
        assert_eq!(erf_in_pieces(f32::MAX, true), 1.0);
        assert_eq!(erf_in_pieces(BOUND.next_up(), true), 1.0);
        assert!(erf_in_pieces(0.0, true).abs() < 1e-7);
        assert!(erf_in_pieces(f32::NAN, true).is_nan());
    }
}
