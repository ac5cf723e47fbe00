"""What was measured, as tables: for a terminal, and in Markdown for a page."""

import statistics

from .engine import INSTRUCTION
from .load import QUIET

PEAK_NAMES = {"fma": "FMA, f32", "bf16": "vdpbf16ps, bf16", "vnni": "vpdpbusd, int8"}


class Table:
    """A heading, columns and rows of text."""

    def __init__(self, heading: str, columns: list):
        self.heading = heading
        self.columns = columns
        self.rows = []

    def add(self, *cells: str) -> None:
        self.rows.append([str(cell) for cell in cells])

    def plain(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]

        def row(cells: list) -> str:
            first, *others = zip(cells, widths)
            return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])

        return "\n".join([self.heading, "", *map(row, lines)])

    def markdown(self) -> str:
        rule = ["---"] + ["---:"] * (len(self.columns) - 1)
        lines = [self.columns, rule, *self.rows]
        return "\n".join([f"{self.heading}:", "", *(f"| {' | '.join(cells)} |" for cells in lines)])


class Report:
    """The tables of a result (see `encoders.py` for its form)."""

    def __init__(self, result: dict):
        self.result = result
        self.threads = sorted(result["threads"], key=int)
        self.first = result["threads"][self.threads[0]]

    def tables(self) -> list:
        return [self.speeds(), self.ratios(), self.peaks()]

    def speeds(self) -> Table:
        """Each engine: tokens per second, share of the peak, one query."""
        columns = ["encoder"]
        for count in self.threads:
            columns += [f"tokens/s, {threads_of(count)}", "of the peak"]
        columns += [f"one query, {threads_of(count)}" for count in self.threads] + ["off by at most", "mean cosine"]
        table = Table(f"Tokens per second, {self.describe()}", columns)
        for name in self.result["precisions"]:
            cells = [name]
            for count in self.threads:
                speed, peak = self.speed(count, name), self.peak(count, self.instruction(name))
                share = speed * self.result["operations_per_token"] / peak / 1e9 if speed and peak else None
                cells += [whole(speed) if speed else "not there", percent(share)]
            cells += [milliseconds(self.median(count, "query", name)) for count in self.threads]
            agreement = self.first["agreement"].get(name)
            off = f"{agreement['largest_difference']:.1e}" if agreement else "–"
            table.add(*cells, off, f"{agreement['mean_cosine']:.5f}" if agreement else "–")
        return table

    def ratios(self) -> Table:
        """Concord's speed as a multiple of each peer's."""
        ours = [name for name in self.result["precisions"] if name.startswith("Concord")]
        peers = [name for name in self.result["precisions"] if name not in ours]
        ours = [name for name in ours if any(self.speed(count, name) for count in self.threads)]
        heading = "Concord's speed as a multiple of its peers', " + " / ".join(map(threads_of, self.threads))
        table = Table(heading, ["peer", *ours])
        for peer in peers:
            cells = [peer]
            for name in ours:
                pairs = [(self.speed(count, name), self.speed(count, peer)) for count in self.threads]
                cells.append(" / ".join(f"{own / other:.2f}" if own and other else "–" for own, other in pairs))
            table.add(*cells)
        return table

    def peaks(self) -> Table:
        """The instructions' peaks and what the linear layer makes of them."""
        rows, inputs, outputs = self.result["linear_shape"]
        columns = ["precision", "instruction"]
        for count in self.threads:
            columns += [f"peak, {threads_of(count)}", "linear layer", "of the peak"]
        heading = f"Operations per second in units of 10⁹; Concord's linear layer of {rows} × {inputs} × {outputs} alone"
        table = Table(heading, columns)
        for precision in self.first["linear"]:
            instruction = INSTRUCTION[precision]
            cells = [precision, PEAK_NAMES[instruction]]
            for count in self.threads:
                peak = self.peak(count, instruction)
                linear = self.median(count, "linear", precision)
                cells += [whole(peak), whole(linear), percent(linear / peak if linear and peak else None)]
            table.add(*cells)
        return table

    def notes(self) -> list:
        """What is not there and why, how the engines call themselves, and where it was not quiet."""
        notes = []
        for count in self.threads:
            measured = self.result["threads"][count]
            for kind in ("encode", "linear", "peaks", "query"):
                for name, found in measured[kind].items():
                    # A query is not there because its encoder is not, which is said once.
                    again = kind == "query" and "not there" in measured["encode"][name]
                    if "not there" in found and not again:
                        what = {"linear": "linear layer in ", "query": "query of "}.get(kind, "") + name
                        notes.append((f"not there: {what}: {found['not there']}", count))
        # A reason that holds for every number of threads is said once.
        said = dict.fromkeys(note for note, _ in notes)
        lines = []
        for note in said:
            counts = [count for other, count in notes if other == note]
            lines.append(note if counts == self.threads else f"{note} ({', '.join(map(threads_of, counts))})")
        lines += [f"{name}: {version}" for name, version in self.first["versions"].items() if not version.startswith(name)]
        return lines + self.disturbances()

    def disturbances(self) -> list:
        """Where others worked on the machine while something was measured."""
        measured, disturbed = 0, {}
        for count in self.threads:
            for kind in ("peaks", "linear", "encode", "query"):
                for name, found in self.result["threads"][count][kind].items():
                    measured += "median" in found
                    if not found.get("quiet", True):
                        disturbed[f"{name} ({kind}, {threads_of(count)})"] = statistics.median(found["others"])
        if not disturbed:
            return [f"quiet: in the rounds that count, others took less than {QUIET:.0%} of the machine"]
        worst = sorted(disturbed, key=disturbed.get, reverse=True)[:4]
        named = ", ".join(f"{what} {disturbed[what]:.0%}" for what in worst)
        return [f"NOT QUIET: {len(disturbed)} of {measured} were disturbed; others took most of the machine from {named}"]

    def describe(self) -> str:
        """What was encoded."""
        result = self.result
        mean = result["tokens"] / result["passages"]
        return (
            f"{result['passages']:,} passages of {mean:.1f} tokens, median of {result['rounds']} rounds, "
            f"{result['processor']}"
        )

    def instruction(self, name: str) -> str:
        return INSTRUCTION[self.result["precisions"][name]]

    def median(self, count: str, kind: str, name: str):
        return self.result["threads"][count][kind].get(name, {}).get("median")

    def speed(self, count: str, name: str):
        """Tokens per second, padding not counted."""
        seconds = self.median(count, "encode", name)
        return self.result["tokens"] / seconds if seconds else None

    def peak(self, count: str, instruction: str):
        return self.median(count, "peaks", instruction)


def threads_of(count: str) -> str:
    return "1 thread" if int(count) == 1 else f"{count} threads"


def whole(number) -> str:
    return "–" if number is None else f"{number:,.0f}"


def percent(share) -> str:
    return "–" if share is None else f"{share:.0%}"


def milliseconds(seconds) -> str:
    return "–" if seconds is None else f"{seconds * 1e3:.1f} ms"
