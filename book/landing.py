"""What the landing page says in numbers. Its sentences stand only while the ledger bears them out."""

import csv
import html
import io
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
import scoreboard
from chapters import NOTEBOOKS

from splinelab.claims import Finding, Ledger

#: The cases that the page's sentences rest on: claim, case, outcome.
HOLDS = ("spline-1a", "long-trained, MSE; held-out", "holds")
TURNS = ("spline-1a", "long-trained, cross-entropy; held-out", "contradicted")
TIE = ("ours-post-relu-tie", "ordinary, MSE; held-out", "holds")
NEAR = ("ours-post-relu-tie", "long-trained, MSE; held-out", "undecided")
MORE = ("ours-full-mnist-post-relu", "ordinary, MSE, all of MNIST", "holds")
REVERSED = ("ours-cross-entropy-reversal", "long-trained, cross-entropy", "holds")
GONE = ("ours-cross-entropy-reversal-full", "ordinary, cross-entropy, all of MNIST; held-out", "undecided")
ELEVEN = ("spline-2a", "long-trained, MSE; held-out; silhouette", "holds")
TEN = ("spline-2a", "long-trained, MSE; training; silhouette", "contradicted")
DOUBT = ("spline-2b", "long-trained, MSE; held-out", "holds")
LOW = ("polytope-4a", "CNN, input", "holds")
HIGH = ("polytope-4a", "CNN, pool3", "undecided")
PAIRS = ("spd-tms-40-10", "the source's method, one feature at a time", "holds")
LEVEL = 0.02  # activations after the ReLU are called level where the whole interval lies within


class Headline(NamedTuple):
    """A question of the landing page.

    `rests` are the cases that bear its answer out; their intervals fill the gaps of `figure`. `outcomes` are
    how many cases of the claim hold, are contradicted, are undecided.
    """

    claim: str
    question: str
    answer: str
    claimed: str
    outcomes: tuple[int, int, int]
    rests: tuple[tuple[str, str, str], ...]
    figure: str


HEADLINES = [
    Headline(
        "spline-1a",
        "Do codes separate digits better than linear outputs?",
        "Yes, if the net was trained long with squared error.",
        "The source's claim, that they do in a grokked net",
        (2, 4, 2),
        (HOLDS, TURNS),
        "Lead of codes in the long-trained net, unseen images, against Euclidean distance: {} of ROC-AUC "
        "with squared error, {} with cross-entropy. The net that generalises late leaves it open.",
    ),
    Headline(
        "ours-post-relu-tie",
        "Do they separate better than activations after the ReLU?",
        "A tie where codes do well; elsewhere no.",
        "Our claim, a tie to within .01 with squared error",
        (3, 0, 1),
        (TIE, NEAR, MORE),
        "Lead of codes, unseen images: {} of ROC-AUC in the ordinary net; {} in the long-trained one, too "
        "wide to decide; {late} in the one that generalises late; {cross} with cross-entropy. Trained on "
        "all of MNIST, the ordinary net gives them a small one: {}.",
    ),
    Headline(
        "ours-cross-entropy-reversal",
        "Do codes lead linear outputs with cross-entropy, too?",
        "No, on 1,000 images they trail.",
        "Our claim, that the lead turns round",
        (3, 0, 0),
        (REVERSED, GONE),
        "Lead of codes in the long-trained net, unseen images, against cosine distance: {} of ROC-AUC. "
        "Trained on all of MNIST nothing is left of it, either way: {}.",
    ),
    Headline(
        "spline-2a",
        "Is there an eleventh cluster, of doubtful images?",
        "Yes, if the net was trained long and the images are unseen.",
        "The source's claim of eleven clusters, in its own setting (training images)",
        (4, 9, 3),
        (ELEVEN, TEN),
        "Best number of clusters in each of five nets, trained long with squared error: {} on unseen "
        "images, {} on the images that they were trained on.",
    ),
    Headline(
        "polytope-4a",
        "Do fewer boundaries part images of one class?",
        "Yes in a residual net, and at the bottom of a plain one.",
        "The source's claim, that they do in a trained net",
        (6, 0, 4),
        (LOW, HIGH),
        "Boundaries between images of one class, as a share of those between classes, in the plain "
        "convolutional net: {} from the input on; {} from its third pooling on, which leaves it open.",
    ),
    Headline(
        "spd-tms-40-10",
        "Can mechanisms be read off the weights?",
        "Yes, in this toy model of 40 features.",
        "The source's claim, that every pair is found",
        (5, 0, 0),
        (PAIRS,),
        "Pairs of encoder and decoder that were found exactly: {} of 40 in every net, by each of five ways "
        "to group.",
    ),
]


def parts(notebooks: Path) -> dict:
    """The generated parts of the landing page, by name; `notebooks` holds the chapters of this build."""
    return {
        "answer": lambda: answer(notebooks),
        "cards": lambda: cards(notebooks),
        "headlines": lambda: headlines(notebooks),
        "picture": picture,
        "late": late,
    }


def found(ledger: Ledger, claim: str, case: str, outcome: str) -> Finding:
    """A measured case; the build stops where its outcome is not the one that the page's words rest on."""
    each = next(each for each in ledger.found(claim) if each.case.label == case)
    if each.outcome != outcome:
        raise _stop(f"{claim} ({case}) {outcome}", each.outcome)
    return each


def _stop(said: str, now: str) -> SystemExit:
    return SystemExit(
        f"The landing page says that {said}; it is {now} now: write its sentences in book/landing.py anew."
    )


def after_relu(notebooks: Path) -> dict[str, tuple[float, float, float]]:
    """Lead of codes over cosine after the ReLU on unseen images, for each kind of net: value, low, high.

    Read from the first figure of chapter 1. The build stops where the leads are not what the page says.
    """
    notebook = nbformat.read(notebooks / "01_spline_vs_activation_distances.ipynb", as_version=4)
    bundles = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    charts = [chart for bundle in bundles for key, chart in bundle.items() if "vegalite" in key]
    leads = {}
    for table in charts[0]["datasets"].values() if charts else []:
        for row in csv.DictReader(io.StringIO(table)):
            if row.get("series") == "cosine post-ReLU" and row.get("panel") == "held-out":
                leads[row["row"]] = tuple(float(row[key]) for key in ("value", "low", "high"))
    behind = [leads[name] for name in leads if name == "delayed, MSE" or "cross-entropy" in name]
    if len(behind) != 4 or any(high >= 0 for _, _, high in behind):
        raise _stop("activations after the ReLU lead in four kinds of net of Figure 1.1", str(leads))
    return leads


def answer(notebooks: Path) -> str:
    """The answer in one sentence."""
    ledger = Ledger.load()
    for each in (HOLDS, TURNS, TIE):
        found(ledger, *each)
    near = found(ledger, *NEAR).interval
    if not -LEVEL < near.low <= near.high < LEVEL:
        raise _stop("activations after the ReLU are level in the long-trained net", near.text)
    after_relu(notebooks)
    return (
        "**Sometimes:** in nets trained long on 1,000 images, codes tell digits apart better than linear "
        "outputs (values *before* the ReLU) if the loss was squared error, with the activations *after* "
        "the ReLU level with them; if it was cross-entropy, codes do worse than both."
    )


def cards(notebooks: Path) -> str:
    """What holds, what fails, why it matters, with the ledger's figures."""
    ledger = Ledger.load()
    counts = {verdict: scoreboard.counts(ledger).get(verdict, 0) for verdict in scoreboard.VERDICTS}
    held, turned, near, eleven, ten, _ = (
        found(ledger, *each) for each in (HOLDS, TURNS, NEAR, ELEVEN, TEN, DOUBT)
    )
    late = after_relu(notebooks)["delayed, MSE"][0]
    area = '<a href="glossary.html#term-AUC">ROC-AUC</a> (.5 is chance, 1 perfect)'
    texts = {
        "What holds": (
            f"Of {len(ledger.claims)} claims {counts['reproduced']} are reproduced, "
            f"{counts['reproduced under a condition']} under a condition; {counts['extends']} findings of "
            "our own hold.",
            f"Trained long with squared error, codes beat linear outputs by {_points(held)} of {area} on "
            f"unseen images. These fall into {eleven.interval.text} clusters: one is of images that the net "
            "doubts.",
            HOLDS[0],
        ),
        "What fails": (
            f"{counts['contradicted']} are contradicted, {counts['undecided']} undecided, "
            f"{counts['not tested']} not tested{_partial(counts)}.",
            f"With cross-entropy, codes trail linear outputs: {_points(turned)}. And where unseen images "
            f"form {eleven.interval.text} clusters, the net's own training images form {ten.interval.text}.",
            TEN[0],
        ),
        "Why it matters to you": (
            "Try the plain baseline first.",
            "Cosine distance between activations after the ReLU takes less than codes, and does as well in "
            f"the long-trained net ({_points(near)} between them), better by {_short(abs(late))} in the one "
            "that generalises late.",
            TIE[0],
        ),
    }
    return '```{raw} html\n<div class="sl-cards">' + "".join(map(_card, texts.items())) + "</div>\n```"


def _partial(counts: dict[str, int]) -> str:
    return f", {counts['partial']} measured in part" if counts["partial"] else ""


def _card(named: tuple[str, tuple[str, str, str]]) -> str:
    title, (lead, text, claim) = named
    return (
        f'<section class="sl-card"><h2>{title}</h2><p><strong>{lead}</strong> {text} '
        f'<a href="scoreboard.html#{claim}">{claim}</a></p></section>'
    )


def _points(each: Finding) -> str:
    low, value, high = each.interval.low, each.interval.value, each.interval.high
    if low == value == high:
        return each.interval.text
    return f"{_short(value)} [{_short(low)}, {_short(high)}]"


def _short(number: float) -> str:
    digits = 2 if abs(number) >= 0.05 else 3 if abs(number) >= 0.0005 else 4
    text = f"{number:.{digits}f}"
    return text.replace("-", "−").replace("0.", ".", 1) if abs(number) < 1 else text.replace("-", "−")


def headlines(notebooks: Path) -> str:
    """Six questions: the answer, the claim behind it with its verdict, the figures."""
    ledger = Ledger.load()
    leads = after_relu(notebooks)
    cross = sorted(value for name, (value, _, _) in leads.items() if "cross-entropy" in name)
    told = {"late": _short(leads["delayed, MSE"][0]), "cross": f"{_short(cross[0])} to {_short(cross[-1])}"}
    lines = []
    for each in HEADLINES:
        cases = ledger.found(each.claim)
        now = tuple(sum(case.outcome == kind for case in cases) for kind in scoreboard.OUTCOMES)
        if now != each.outcomes:
            raise _stop(f"cases of {each.claim} {scoreboard.OUTCOMES} are {each.outcomes}", str(now))
        figure = each.figure.format(*(_points(found(ledger, *rest)) for rest in each.rests), **told)
        verdict = ledger.verdict(each.claim)[0]
        lines.append(
            f'<li><a href="scoreboard.html#{each.claim}"><b>{html.escape(each.question)}</b> '
            f"<strong>{html.escape(each.answer)}</strong><span>{html.escape(figure)}</span>"
            f"<small>{html.escape(each.claimed)}: "
            f'<span class="sl-verdict {scoreboard.kind(verdict)}">{verdict}</span>, '
            f"{scoreboard.holding(cases)}</small></a></li>"
        )
    return '```{raw} html\n<ul class="sl-headlines">' + "".join(lines) + "</ul>\n```"


def late() -> str:
    """How many claims were written or changed after their measurement."""
    return scoreboard.late(Ledger.load())


def picture() -> str:
    """Four embeddings side by side."""
    sys.path.insert(0, str(NOTEBOOKS))
    from pictures.landing import colours, landing

    return "```{raw} html\n" + colours() + landing() + "\n```"
