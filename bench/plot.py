"""The results as a picture: for each workload a bar per variant, ours in a colour of its own. Runs in ``.venv-bench``.

python -m bench.plot bench/results/latest.json docs/explanation/speed.png
"""

import sys
from pathlib import Path

import matplotlib as mpl

from bench.measures import Variant
from bench.results import Measured, Results

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the choice of how to draw

OURS, OTHERS = "#1f6feb", "#b0b8c4"
_BAR_INCHES, _HEAD_INCHES = 0.28, 0.75


def main() -> int:
    results, plot = Results.load(Path(sys.argv[1])), Path(sys.argv[2])
    heights = [len(_done(each)) * _BAR_INCHES + _HEAD_INCHES for each in results.workloads.values()]
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(9, sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
    )
    for (key, measured), ax in zip(results.workloads.items(), axes[:, 0], strict=True):
        _draw(ax, key, measured)
    figure.supxlabel("seconds: median, min and max of the rounds", fontsize=9)
    # Neither the date nor the version of the library: the same results make the same picture.
    figure.savefig(plot, dpi=110, metadata={"Software": None})
    return 0


def _done(measured: Measured) -> list[tuple[str, Variant]]:
    return [(key, each) for key, each in measured.variants.items() if each.spread is not None]


def _draw(ax: "plt.Axes", key: str, measured: Measured) -> None:
    for place, (name, variant) in enumerate(_done(measured)):
        spread = variant.spread
        assert spread is not None
        ax.barh(
            place,
            spread.median,
            xerr=[[spread.median - spread.min], [spread.max - spread.median]],
            color=OURS if name.startswith("ours") else OTHERS,
            error_kw={"elinewidth": 1, "capsize": 2},
        )
        ax.annotate(f" {spread.median:.2f} s", (spread.max, place), va="center", fontsize=8)
    ax.set_yticks(range(len(_done(measured))), [variant.title for _, variant in _done(measured)], fontsize=8)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_title(f"{key}: {measured.title}", fontsize=9, loc="left")
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
