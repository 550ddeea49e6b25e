"""UD English EWT as published: CoNLL-U, and the table of words and sentences that it is read into."""

_COLUMNS = 10
_DOCUMENT = "# newdoc id = "


def table(content: bytes) -> bytes:
    """CoNLL-U → the treebank's own table, UTF-8, as `SPLINELAB_DATA/ud_ewt` has it in two files.

    A line `form, UPOS, XPOS` for each word, a blank line after each sentence; then a line for each sentence:
    genre, document, and a digit for each word, 1 if a space follows it. Fields are parted by tabs. Lines of
    multiword tokens (`6-7`) and empty nodes (`8.1`) are dropped; words of one multiword token stand together,
    and what follows the token follows its last word. The genre is what the document's name begins with.

    Raises `ValueError`, which ends the sentence "FILE …", for bytes that are no such file.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not CoNLL-U: not UTF-8 (byte {error.start})") from error
    words, sentences, document = [], [], None
    for block in text.replace("\r\n", "\n").strip("\n").split("\n\n"):
        lines = block.split("\n")
        document = _document(lines, document)
        forms, spaces = _words([line.split("\t") for line in lines if not line.startswith("#")])
        words.append(forms)
        sentences.append(f"{document.split('-')[0]}\t{document}\t{spaces}\n")
    return ("\n".join(words) + "\n" + "".join(sentences)).encode()


def _document(lines: list[str], document: str | None) -> str:
    """The document of a sentence: the one that begins here, or that of the sentence before."""
    begun = [line.removeprefix(_DOCUMENT) for line in lines if line.startswith(_DOCUMENT)]
    document = begun[-1] if begun else document
    if document is None:
        raise ValueError(f"is not CoNLL-U of UD EWT: no {_DOCUMENT.strip()!r} before its first sentence")
    return document


def _words(rows: list[list[str]]) -> tuple[str, str]:
    """The words of a sentence as lines, and a digit for each."""
    forms, spaces, whole = "", "", None  # whole: the multiword token that we are in, and its last word
    for row in rows:
        if len(row) != _COLUMNS:
            raise ValueError(f"is not CoNLL-U: a line of {len(row)} fields, expected {_COLUMNS}")
        number, after = row[0], "0" if "SpaceAfter=No" in row[-1].split("|") else "1"
        if "-" in number:
            whole = number.split("-")[1], after
        elif "." not in number:
            forms += f"{row[1]}\t{row[3]}\t{row[4]}\n"
            if whole is None:
                spaces += after
            elif whole[0] != number:
                spaces += "0"
            else:
                spaces, whole = spaces + whole[1], None
    if not spaces:
        raise ValueError("is not CoNLL-U: a sentence without words")
    return forms, spaces
