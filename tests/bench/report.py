"""Figures to a report: Markdown tables, and plots as PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


class Report:
    """
    :param folder: the text and the plots go there.
    :param name: of the text's file.
    """

    def __init__(self, folder: Path, name: str = "report.md") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._file = folder, folder / name
        self._parts: list[str] = []

    def text(self, text: str) -> None:
        self._parts.append(text)
        print(text, flush=True)
        # After each part: a run that is ended early leaves what it has.
        self._file.write_text("\n\n".join(self._parts) + "\n")

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> None:
        lines = [f"## {title}", ""]
        if note:
            lines += [note, ""]
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
        self.text("\n".join(lines))

    def plot(
        self,
        name: str,
        title: str,
        axis: tuple[str, str],
        lines: dict[str, list[tuple[float, float]]],
        tick: Callable[[float], str] | None = None,
    ) -> None:
        """
        :param axis: what x and y are.
        :param lines: (x, y) by label; x is drawn in powers of two.
        :param tick: writes an x below the axis.
        """
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(figsize=(8, 4.5))
        for label, points in lines.items():
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=label)
        axes.set_xscale("symlog" if any(x == 0 for points in lines.values() for x, _ in points) else "log", base=2)
        ticks = sorted({x for points in lines.values() for x, _ in points})
        axes.set_xticks(ticks, [(tick or _short)(x) for x in ticks])
        axes.minorticks_off()
        axes.set(xlabel=axis[0], ylabel=axis[1], title=title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        # Beside the lines where it would lie on them.
        axes.legend(**({"loc": "upper left", "bbox_to_anchor": (1.01, 1)} if len(lines) > 2 else {}))
        figure.savefig(self._folder / f"{name}.png", dpi=110, bbox_inches="tight")
        pyplot.close(figure)
        self.text(f"![{title}]({name}.png)")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 10 else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _short(value: float) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
