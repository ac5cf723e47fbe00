#!/usr/bin/env python3
"""Coefficients of the series behind `erfc` in src/referee/elementary.rs.

(1 + 2x) exp(x^2) erfc(x) is smooth and near 1 for all x >= 0 (Shepherd and Laframboise, "Chebyshev
approximation of (1 + 2x) exp(x^2) erfc(x) in 0 <= x < infinity", Math. Comp. 36, 1981). It is expanded in
Chebyshev polynomials of t = (x - 3.75) / (x + 3.75). Prints the coefficients and the largest relative
error of the series itself.

needs: pip install mpmath
"""
import mpmath as mp

mp.mp.dps = 60
DEGREE, NODES, SCALE = 24, 200, mp.mpf("3.75")


def smooth(t):
    if t == 1:
        return 2 / mp.sqrt(mp.pi)
    x = SCALE * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


angles = [mp.pi * (k + mp.mpf(1) / 2) / NODES for k in range(NODES)]
values = [smooth(mp.cos(a)) for a in angles]
coefficients = [
    float((2 if j else 1) * mp.fsum(v * mp.cos(j * a) for v, a in zip(values, angles)) / NODES)
    for j in range(DEGREE + 1)
]
print(",\n".join(map(repr, coefficients)))

worst = 0
for step in range(0, 2801):
    x = mp.mpf(step) / 100
    angle = mp.acos((x - SCALE) / (x + SCALE))
    value = mp.fsum(c * mp.cos(j * angle) for j, c in enumerate(coefficients))
    exact = (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)
    worst = max(worst, abs(value / exact - 1))
print("largest relative error:", mp.nstr(worst, 3))
