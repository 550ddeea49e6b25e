"""The ledger's files: read whole and as they were written, or refused with their name.

`claims.yml` is written by hand; `results/claims.lock` holds a digest of each claim as it was when the
verdicts were stored, so that no rule changes unseen after its measurement. Files of results end with their
own digest.
"""

import json
from pathlib import Path

from splinelab._files import digest, read_json, read_yaml, write_atomically
from splinelab.claims.entries import Claim, Measurement
from splinelab.errors import ClaimError

CLAIMS, LOCK, DIGEST = "claims.yml", "results/claims.lock", "sha256"


def read_claims(book: Path, *, locked: bool = True) -> dict[str, Claim]:
    """The claims of `claims.yml` by id; unless `locked` is false, they must be those of `claims.lock`."""
    path = book / CLAIMS
    try:
        content = read_yaml(path)
    except ValueError as error:
        raise ClaimError(f"{path} {error}: correct it, or restore it from the repository") from error
    if (
        not isinstance(content, dict)
        or list(content) != ["claims"]
        or not isinstance(content["claims"], list)
    ):
        raise ClaimError(f"{path} is no ledger; expected one key, claims, with a list of entries")
    claims: dict[str, Claim] = {}
    for claim in map(Claim.from_dict, content["claims"]):
        if claim.id in claims:
            raise ClaimError(f"claims.yml lists {claim.id} twice: give one of them another id")
        claims[claim.id] = claim
    for claim in claims.values():
        if claim.elsewhere is not None and claim.elsewhere not in claims:
            raise ClaimError(
                f"claims.yml, {claim.id}: elsewhere is {claim.elsewhere!r}, which is no claim's id"
            )
    if locked and (book / LOCK).exists():
        _compare(claims, book / LOCK)
    return claims


def _compare(claims: dict[str, Claim], lock: Path) -> None:
    stored = _object(lock, "write it again with `python book/build.py ledger`")
    for claim_id, expected in stored.items():
        if claim_id not in claims or digest(claims[claim_id].to_dict()) != expected:
            happened = "was changed" if claim_id in claims else "is missing"
            raise ClaimError(
                f"claims.yml, {claim_id}: it {happened} since the verdicts were stored ({lock}). Restore it; "
                "or, if it is meant, write date and reason under `revised`, then run "
                "`python book/build.py ledger`"
            )


def write_lock(book: Path, claims: dict[str, Claim]) -> None:
    """Store a digest of every claim."""
    write_json(book / LOCK, {claim.id: digest(claim.to_dict()) for claim in claims.values()})


def read_results(path: Path) -> dict[str, dict[str, Measurement]]:
    """The measurements of one chapter: claim → case → measurement. `ClaimError` names file and place."""
    remedy = "restore it from the repository, or run its chapter again (make notebooks)"
    content = _object(path, remedy)
    found = content.pop(DIGEST, None)
    measurements: dict[str, dict[str, Measurement]] = {}
    for claim_id, cases in content.items():
        if not isinstance(cases, dict):
            raise ClaimError(f"{path}, {claim_id}; expected measurements by case, got {cases!r}; {remedy}")
        measurements[claim_id] = {}
        for label, numbers in cases.items():
            try:
                measurements[claim_id][label] = Measurement.from_dict(numbers)
            except ClaimError as error:
                raise ClaimError(f"{path}, {claim_id}, {label!r}: {error}; {remedy}") from error
    if found != digest(content):
        reason = (
            "has no digest at its end" if found is None else "is not what was written: it has another digest"
        )
        raise ClaimError(f"{path} {reason}; {remedy}")
    return measurements


def write_results(path: Path, measurements: dict[str, dict[str, Measurement]]) -> None:
    """What `read_results` reads."""
    content = {
        claim_id: {label: found.to_dict() for label, found in cases.items()}
        for claim_id, cases in measurements.items()
    }
    write_json(path, {**content, DIGEST: digest(content)})


def write_json(path: Path, content: object) -> None:
    """Write whole or not at all; `ClaimError` where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise ClaimError(
            f"{path} cannot be written ({error.strerror}): what was there is as it was; make room, or name "
            "another folder in SPLINELAB_RESULTS"
        ) from error


def _object(path: Path, remedy: str) -> dict:
    try:
        content = read_json(path)
    except ValueError as error:
        raise ClaimError(f"{path} {error}; {remedy}") from error
    if not isinstance(content, dict):
        raise ClaimError(f"{path} holds a {type(content).__name__}, expected an object; {remedy}")
    return content
