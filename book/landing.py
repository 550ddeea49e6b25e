"""What the landing page says in numbers. Its sentences stand only while the ledger bears them out."""

import html
import sys

import scoreboard
from chapters import NOTEBOOKS

from splinelab.claims import Finding, Ledger

#: The cases that the page's sentences rest on: claim, case, outcome.
HOLDS = ("spline-1a", "long-trained, MSE; held-out", "holds")
TURNS = ("spline-1a", "long-trained, cross-entropy; held-out", "contradicted")
TIE = ("ours-post-relu-tie", "ordinary, MSE; held-out", "holds")
ELEVEN = ("spline-2a", "long-trained, MSE; held-out; silhouette", "holds")
TEN = ("spline-2a", "long-trained, MSE; training; silhouette", "contradicted")
HEADLINES = {
    "spline-1a": "Do codes separate digits better than linear outputs?",
    "ours-post-relu-tie": "Better than activations after the ReLU?",
    "ours-cross-entropy-reversal": "Also with cross-entropy?",
    "spline-2a": "Is there an eleventh cluster, of doubtful images?",
    "polytope-4a": "Do fewer boundaries part images of one class?",
    "spd-tms-40-10": "Can mechanisms be read off the weights?",
}


def parts() -> dict:
    """The generated parts of the landing page, by name."""
    return {"answer": answer, "cards": cards, "headlines": headlines, "picture": picture}


def found(ledger: Ledger, claim: str, case: str, outcome: str) -> Finding:
    """A measured case; the build stops where its outcome is not the one that the page's words rest on."""
    each = next(each for each in ledger.found(claim) if each.case.label == case)
    if each.outcome != outcome:
        raise SystemExit(
            f"The landing page says that {claim} ({case}) {outcome}; it is {each.outcome} now: "
            "write its sentences in book/landing.py anew."
        )
    return each


def answer() -> str:
    """The answer in one sentence."""
    ledger = Ledger.load()
    for each in (HOLDS, TURNS, TIE):
        found(ledger, *each)
    return (
        "**Sometimes:** in nets trained long with squared error, codes separate digits better than linear "
        "outputs do; with cross-entropy they do worse; and the activations *after* the ReLU come within .01 "
        "of them."
    )


def cards() -> str:
    """What holds, what fails, why it matters, with the ledger's figures."""
    ledger = Ledger.load()
    counts = scoreboard.counts(ledger)
    total = len(ledger.claims)
    held, turned, tie, eleven, ten = (found(ledger, *each) for each in (HOLDS, TURNS, TIE, ELEVEN, TEN))
    whole = counts.get("reproduced", 0) + counts.get("extends", 0)
    some = counts.get("reproduced under a condition", 0)
    texts = {
        "What holds": (
            f"{whole} of {total} claims in full, {some} under a condition.",
            f"Long-trained with squared error, codes beat linear outputs by {_points(held)} of ROC-AUC on "
            f"unseen images, which fall into {eleven.interval.text} clusters: one is of images that the net "
            "doubts.",
            HOLDS[0],
        ),
        "What fails": (
            f"{counts.get('contradicted', 0)} of {total} claims are contradicted.",
            f"With cross-entropy the difference is {_points(turned)}. On its own training images the net of "
            f"{eleven.interval.text} clusters has {ten.interval.text}.",
            TEN[0],
        ),
        "Why it matters to you": (
            "Try the plain baseline first.",
            "Codes of any net with ReLUs take one call. Cosine distance between activations after the ReLU "
            f"takes less, and differs from codes by {_points(tie)} only.",
            TIE[0],
        ),
    }
    return '```{raw} html\n<div class="sl-cards">' + "".join(map(_card, texts.items())) + "</div>\n```"


def _card(named: tuple[str, tuple[str, str, str]]) -> str:
    title, (lead, text, claim) = named
    return (
        f'<section class="sl-card"><h2>{title}</h2><p><strong>{html.escape(lead)}</strong> '
        f'{html.escape(text)} <a href="scoreboard.html#{claim}">{claim}</a></p></section>'
    )


def _points(each: Finding) -> str:
    low, high = each.interval.low, each.interval.high
    return f"{_short(each.interval.value)} [{_short(low)}, {_short(high)}]"


def _short(number: float) -> str:
    text = f"{number:.3f}" if abs(number) < 0.01 else f"{number:.2f}"
    return text.replace("-", "−").replace("0.", ".", 1)


def headlines() -> str:
    """Six claims: the question, the computed verdict, the figure with its interval, the way to its cases."""
    ledger = Ledger.load()
    lines = []
    for claim, question in HEADLINES.items():
        verdict, _, carrying = ledger.verdict(claim)
        kind = scoreboard.kind(verdict)
        lines.append(
            f'<li><a href="scoreboard.html#{claim}"><b>{html.escape(question)}</b> '
            f'<span class="sl-verdict {kind}">{verdict}</span> '
            f"<span>{html.escape(carrying.quantity)}: <strong>{carrying.interval.text}</strong> "
            f"({html.escape(carrying.case.label)})</span></a></li>"
        )
    return '```{raw} html\n<ul class="sl-headlines">' + "".join(lines) + "</ul>\n```"


def picture() -> str:
    """Four embeddings side by side."""
    sys.path.insert(0, str(NOTEBOOKS))
    from pictures.landing import colours, landing

    return "```{raw} html\n" + colours() + landing() + "\n```"
