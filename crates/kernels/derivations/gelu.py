#!/usr/bin/env python3
"""The polynomials behind GELU in src/gelu.rs, and that behind exp in src/exponential.rs.

The upper tail of the normal distribution, erfc(a / sqrt(2)) / 2, is cut into sixteen pieces of width 3/8 on
0 <= a < 6. On each it is interpolated at Chebyshev points by a polynomial of degree 5 in the distance from
the piece's middle. exp(r) = 1 + r + r^2 p(r) on |r| <= ln(2) / 2, with p of degree 4 likewise.
Prints the coefficients as Rust has them: of GELU a row per power, a column per piece.

needs: pip install mpmath numpy
"""
import mpmath as mp
import numpy as np

mp.mp.dps = 60


def interpolate(function, degree, half):
    """The coefficients of 1, u, u^2, … on |u| <= half."""
    nodes = [half * mp.cos(mp.pi * (2 * k + 1) / (2 * degree + 2)) for k in range(degree + 1)]
    powers = mp.matrix(degree + 1, degree + 1)
    for row, node in enumerate(nodes):
        for power in range(degree + 1):
            powers[row, power] = node**power
    return list(mp.lu_solve(powers, mp.matrix([function(node) for node in nodes])))


def rust(value):
    """The f32 nearest to a number, in the fewest digits that say which."""
    return np.format_float_scientific(np.float32(float(value)), unique=True, trim="0", exp_digits=1)


width = mp.mpf(3) / 8
pieces = []
for piece in range(16):
    middle = (piece + mp.mpf(1) / 2) * width
    pieces.append(interpolate(lambda u: mp.erfc((middle + u) / mp.sqrt(2)) / 2, 5, width / 2))
for power in range(6):
    print(f"Lanes([{', '.join(rust(piece[power]) for piece in pieces)}]),")


def rest(r):
    return mp.mpf(1) / 2 if abs(r) < mp.mpf(10) ** -20 else (mp.e**r - 1 - r) / r**2


print([rust(c) for c in interpolate(rest, 4, mp.log(2) / 2 * mp.mpf("1.0001"))])
high = np.float32(float(mp.log(2)))
print("ln 2 =", rust(high), "+", rust(mp.log(2) - mp.mpf(float(high))))
