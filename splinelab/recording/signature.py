"""What the forward of a model asks for, so that its inputs need not be guessed."""

import inspect

import torch


class Signature:
    """The arguments of a model's forward.

    names: those that may be given by name. places: how many by position. required: how many of these must be.
    most: how many by position may be tensors. keyword_only: what must be given, and by name.
    words: all of it.
    """

    def __init__(self, model: torch.nn.Module):
        try:
            parameters = list(inspect.signature(model.forward).parameters.values())
        except (TypeError, ValueError):  # written in C: nothing is known
            parameters = []
        places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        needed = [p for p in parameters if p.default is p.empty]
        self.names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self.any_name = any(p.kind is p.VAR_KEYWORD for p in parameters) or not parameters
        self.keyword_only = [p.name for p in needed if p.kind is p.KEYWORD_ONLY]
        self.required = sum(p in needed for p in places)
        unbounded = not parameters or any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.places = 99 if unbounded else len(places)
        # Flags and numbers are no inputs; what may be None may be a tensor.
        self.most = self.required + sum(p.default is None for p in places)
        self.words = ", ".join(str(p) for p in parameters) or "no argument"

    def takes(self, name) -> bool:
        return name in self.names or (self.any_name and isinstance(name, str))
