#!/usr/bin/env python3
"""Draw lines of text, read from standard input, as a picture of a terminal: docs/diff.svg.

usage: concord diff A B … | grep -v ' yes      yes' | python docs/diff_svg.py > docs/diff.svg
"""

import sys
from html import escape

SIZE, LINE, WIDTH, MARGIN = 13, 19, 7.83, 16
lines = [line.rstrip() for line in sys.stdin]
width = round(max(map(len, lines)) * WIDTH + 2 * MARGIN)
height = len(lines) * LINE + 2 * MARGIN
print(
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    f'<rect width="100%" height="100%" rx="6" fill="#16181d"/>'
    f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{SIZE}" fill="#d6d9df" xml:space="preserve">'
)
for at, line in enumerate(lines):
    fill = ' fill="#f0a35e"' if " no " in line else ' fill="#8ab4f8"' if line.startswith("artifact") else ""
    print(f'<text x="{MARGIN}" y="{MARGIN + SIZE + at * LINE}"{fill} textLength="{len(line) * WIDTH:.0f}">{escape(line)}</text>')
print("</g></svg>")
