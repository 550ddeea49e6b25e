"""English sentences with parts of speech: UD EWT."""

import gzip
import hashlib
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from splinelab.data import conllu
from splinelab.data.published import Published, at_hand, data_folder, read, verified
from splinelab.errors import InputError

_ORIGIN = (
    "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/"
    "15d613d8447b3478787d4c278730a1e48a945efb/en_ewt-ud-"
)

# Bytes and SHA-256 of the two files of a part, and of their content: of the table that `conllu.table` makes.
_KNOWN = """
train words 528329 656a2f742e93a3331f0987eea4dab34dfffc956c72698908c58008fe812fd8d0
train sentences 42768 58d7668ad33466886897221b826485f8ad75adc3faf498849fbbfd7b14974dc1
train table 3485771 8d16b5f9139e5ab06173dc21e3528f6fe2fba3cc184053277a777e243e3a8d6a
dev words 69898 478231751250bd49ea212074e8b4b8c8ebeff8929b6828cb7e55620c6b327cfc
dev sentences 9426 4ca9aa6c883dba9cdc3b4366fc4bf817a389943f6093c39f10d16438c1530dde
dev table 448978 5f33913e861f0ba0f16ae777dddb4525e6d5a600227344f62674bf43089f1809
test words 70418 f5090c58893cfd89f2940559e30246eb3964e3cb862703b26b23e45424312eae
test sentences 9380 82baf324ff96dc3b107f075c13a0df0820c9a12094ab902115d1005649ed2d30
test table 450516 4d1b2491f4944fd8e6904942ec40d4ff5c27059de3ff851784facdec2250de36
"""

#: (part, "words", "sentences" or "table") → (bytes, SHA-256).
KNOWN = {
    (part, kind): (int(size), sha256)
    for part, kind, size, sha256 in map(str.split, _KNOWN.strip().splitlines())
}
PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Sentence:
    """A sentence of a treebank.

    Attributes
    ----------
    words, tags : its words, and for each its part of speech (universal tags: NOUN, VERB, …).
    genre, document : where it stands.
    spaces : for each word, whether a space follows it.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    genre: str
    document: str
    spaces: tuple[bool, ...]

    @cached_property
    def text(self) -> str:
        """The words with the treebank's spaces between them, none at the end."""
        pairs = zip(self.words, self.spaces, strict=True)
        return "".join(word + " " * space for word, space in pairs).removesuffix(" ")

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Where each word stands in `text`: its first character, and the one after its last."""
        spans, start = [], 0
        for word, space in zip(self.words, self.spaces, strict=True):
            spans.append((start, start + len(word)))
            start += len(word) + space
        return spans


@dataclass(frozen=True, eq=False)
class Treebank:
    """Sentences in the treebank's order, documents one after the other; `checksum` is that of their table."""

    name: str
    sentences: tuple[Sentence, ...] = field(repr=False)
    checksum: str

    def __len__(self) -> int:
        return len(self.sentences)

    def __repr__(self) -> str:
        words = sum(len(sentence.words) for sentence in self.sentences)
        return f"Treebank({self.name!r}, {len(self):,} sentences, {words:,} words)"


@lru_cache(maxsize=3)
def ud_ewt(part: str = "train") -> Treebank:
    """Universal Dependencies' English Web Treebank (Silveira et al. 2014): `part` is `"train"` (12,544
    sentences, 204,577 words), `"dev"` (2,001; 25,147) or `"test"` (2,077; 25,094).

    Five genres: weblog, email, newsgroup, answers, reviews. Words are syntactic: "don't" is "do" and "n't",
    with no space between. `Sentence.text` is the treebank's own text in all sentences but one, of `test`,
    which its words do not join to. Annotations are CC BY-SA 4.0; the texts have other owners.

    Reads the tables in `SPLINELAB_DATA/ud_ewt` if that folder exists; otherwise downloads the official
    CoNLL-U file (commit 15d613d) once to `SPLINELAB_CACHE`. Every read is checked by SHA-256, of the tables
    or of the table that the file is read into. A file that is missing, damaged or cannot be fetched raises
    `DataError`.
    """
    if part not in PARTS:
        raise InputError(f"ud_ewt has no part {part!r}; expected 'train', 'dev' or 'test'")
    content = _table(part)
    return Treebank(f"ud-ewt-{part}", sentences(content), hashlib.sha256(content).hexdigest())


def ud_ewt_at_hand() -> bool:
    """Whether every part of `ud_ewt` can be read without a download."""
    return all(at_hand(_official(part)) for part in PARTS)


def sentences(content: bytes) -> tuple[Sentence, ...]:
    """The sentences of a table in the form of `conllu.table`."""
    *blocks, table = content.decode("utf-8").split("\n\n")
    found = []
    for block, line in zip(blocks, table.splitlines(), strict=True):
        words, tags, _ = zip(*(row.split("\t") for row in block.split("\n")), strict=True)
        genre, document, digits = line.split("\t")
        found.append(Sentence(words, tags, genre, document, tuple(digit == "1" for digit in digits)))
    return tuple(found)


def _table(part: str) -> bytes:
    folder = data_folder("ud_ewt")
    official = _official(part)
    if folder is None or (folder / official.name).exists():
        return read(official)
    files = {"words": "form_upos_xpos", "sentences": "genre_document_spaces"}
    remedy = f"restore it, put the official {official.name} beside it, or unset SPLINELAB_DATA"
    halves = [
        gzip.decompress(
            verified(folder / name, Published(name, *KNOWN[part, kind], "ud_ewt", "UD EWT"), remedy)
        )
        for kind, name in ((kind, f"ewt_{part}_{stem}.tsv.gz") for kind, stem in files.items())
    ]
    return b"\n".join(halves)


def _official(part: str) -> Published:
    name = f"en_ewt-ud-{part}.conllu"
    origins = (f"{_ORIGIN}{part}.conllu",)
    return Published(
        name, *KNOWN[part, "table"], "ud_ewt", "UD EWT, read into a table", origins, conllu.table
    )
