"""Bars as plain SVG."""
from xml.sax.saxutils import escape

ROW, LABEL, BARS, VALUE = 22, 390, 330, 150  # pixels
GOOD, SHORT, PLAIN = "#2f7d4f", "#b3541e", "#4a6fa5"


def bars(title, rows, line_at=None):
    """rows: (label, length, text, reached); reached is None where there is nothing to reach. Lengths are >= 0, in one unit; line_at too."""
    longest = max([row[1] for row in rows] + [line_at or 0]) or 1
    height = 34 + ROW * len(rows) + 8
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + BARS + VALUE}" height="{height}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>', f'<text x="8" y="20" font-size="14" font-weight="bold">{escape(title)}</text>']
    for i, (label, length, text, reached) in enumerate(rows):
        y = 34 + ROW * i
        color = PLAIN if reached is None else GOOD if reached else SHORT
        width = round(length / longest * BARS, 1)
        out.append(f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>')
        out.append(f'<rect x="{LABEL}" y="{y + 3}" width="{width}" height="{ROW - 7}" fill="{color}"/>')
        out.append(f'<text x="{LABEL + width + 5}" y="{y + 14}">{escape(text)}</text>')
    if line_at:
        x = round(LABEL + line_at / longest * BARS, 1)
        out.append(f'<line x1="{x}" y1="30" x2="{x}" y2="{height - 6}" stroke="black" stroke-dasharray="3 3"/>')
    return "\n".join(out + ["</svg>", ""])
