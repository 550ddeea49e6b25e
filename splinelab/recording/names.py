"""Names of calls: after the module whose forward makes them."""

from collections import Counter

import torch
from torch.nn.modules import module as torch_module
from torch.overrides import TorchFunctionMode

# Modules that are one activation: a layer in them carries their path alone, without the operation's name.
PLAIN_HOMES = ("torch.nn.modules.activation", "torch.nn.modules.pooling", "transformers.activations")


class NamedCalls(TorchFunctionMode):
    """A function mode that sees every call of a model's forward pass and can name it."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.paths = {id(module): path for path, module in model.named_modules()}
        self.begin()

    def begin(self) -> None:
        """Start a pass: count from one again."""
        self.counts: Counter[str] = Counter()
        self.stack: list[tuple[str, object]] = []

    def __enter__(self):
        # Global hooks leave the model's own hooks alone and see modules in every container.
        self.hooks = [
            torch_module.register_module_forward_pre_hook(self._enter_module),
            torch_module.register_module_forward_hook(self._leave_module, always_call=True),
        ]
        return super().__enter__()

    def __exit__(self, *exception):
        for hook in self.hooks:
            hook.remove()
        return super().__exit__(*exception)

    def _enter_module(self, module, args) -> None:
        if id(module) in self.paths:
            self.stack.append((self.paths[id(module)], module))

    def _leave_module(self, module, args, output) -> None:
        if id(module) in self.paths and self.stack:
            self.stack.pop()

    @property
    def path(self) -> str:
        """The module whose forward runs; "" in the model's own."""
        return self.stack[-1][0] if self.stack else ""

    @property
    def where(self) -> str:
        """The same as words."""
        return f"module {self.path!r}" if self.path else "the model's own forward"

    def name(self, op: str) -> str:
        """A unique name for this call of `op`: `act`, `block.relu`, `act#2`, …"""
        path, module = self.stack[-1] if self.stack else ("", None)
        plain = any(base.__module__ in PLAIN_HOMES for base in type(module).__mro__)
        return self.numbered(path if path and plain else f"{path}.{op}" if path else op)

    def numbered(self, base: str, kind: str = "") -> str:
        """The name itself, or with `#2` and so on where this pass has had it; kinds are counted apart."""
        self.counts[base + kind] += 1
        return base if self.counts[base + kind] == 1 else f"{base}#{self.counts[base + kind]}"
