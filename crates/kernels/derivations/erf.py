#!/usr/bin/env python3
"""Coefficients of the polynomial behind `erf` in src/elementary.rs.

erf(x) / x is an entire function of z = x * x. On 0 <= z <= 16 it is expanded in Chebyshev polynomials
of t = (z - 8) / 8, cut at degree 24, and rewritten in powers of t (whose coefficients stay below 0.36,
so that nothing is lost by it). Prints the coefficients and the largest relative error of a double
precision Horner evaluation.

needs: pip install mpmath
"""
import mpmath as mp

mp.mp.dps = 60
DEGREE, NODES = 24, 64


def quotient(t):
    z = 8 * (t + 1)
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z)


angles = [mp.pi * (k + mp.mpf(1) / 2) / NODES for k in range(NODES)]
values = [quotient(mp.cos(a)) for a in angles]
chebyshev = [
    (2 if j else 1) * mp.fsum(v * mp.cos(j * a) for v, a in zip(values, angles)) / NODES
    for j in range(DEGREE + 1)
]

powers = [[mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]]
while len(powers) <= DEGREE:
    doubled = [mp.mpf(0)] + [2 * c for c in powers[-1]]
    older = powers[-2] + [mp.mpf(0)] * (len(doubled) - len(powers[-2]))
    powers.append([a - b for a, b in zip(doubled, older)])
coefficients = [
    float(mp.fsum(c * p[i] for c, p in zip(chebyshev, powers) if i < len(p))) for i in range(DEGREE + 1)
]
print(",\n".join(map(repr, coefficients)))

worst = 0
for step in range(1, 4001):
    x = step / 1000
    t, value = x * x * 0.125 - 1.0, 0.0
    for c in reversed(coefficients):
        value = value * t + c
    worst = max(worst, abs((mp.mpf(x) * mp.mpf(value) - mp.erf(x)) / mp.erf(x)))
print("largest relative error:", mp.nstr(worst, 3))
