"""The float64 copy of a network that the geometry runs on, and what it gives, computed plainly."""

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from splinelab._arguments import check_device
from splinelab.errors import InputError
from splinelab.polytopes.geometry.affine import mapped
from splinelab.recording import operations as table
from splinelab.recording.copies import copied
from splinelab.recording.following import tensors
from splinelab.recording.operations import op_name
from splinelab.recording.outputs import first_output
from splinelab.recording.place import place

RANDOM = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RReLU)
PLACES = frozenset(
    ("to", "cpu", "cuda", "type", "type_as")
)  # casts that may name no type, or another tensor's
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def exact_copy(model: nn.Module, device: str | torch.device | None = None) -> nn.Module:
    """A float64 copy in evaluation mode, which the geometry runs on; the model itself stays as it is.

    Raises `InputError` for a model in training mode whose dropout or batch norm would make it another
    function than the one in use, for weights that are not finite, lazy layers without a shape, a device that
    is not there, and what cannot be copied.
    """
    place(model, None)  # refuses what is no module, and scripted or compiled ones
    for path, module in model.named_modules():
        if module.training and isinstance(module, RANDOM):
            raise InputError(
                f"The model is in training mode: its {type(module).__name__} {path!r} would change from call "
                "to call. Call model.eval() first."
            )
    for name, tensor in model.state_dict().items():
        if torch.is_tensor(tensor) and not torch.isfinite(tensor).all():
            raise InputError(f"The weights {name!r} hold NaN or infinite values; expected finite numbers.")
    goal = home(model) if device is None else check_device(device)
    exact = copied(model)
    with torch.inference_mode(False):
        exact = exact.double().eval().requires_grad_(False).to(goal)
        for module in exact.modules():  # constants that are no buffers
            for name, value in vars(module).items():
                if not name.startswith("_") and any(torch.is_tensor(item) for item in tensors(value)):
                    vars(module)[name] = mapped(lambda item: _doubled(item, goal), value)
    return exact


def evaluate(model: nn.Module, points: torch.Tensor) -> torch.Tensor:
    """The output of an `exact_copy` at some points, computed plainly: samples × outputs, float64."""
    with torch.no_grad(), KeepPrecision():
        output = first_output(model(points.clone()), len(points))
    return output.reshape(len(points), -1)


class KeepPrecision(TorchFunctionMode):
    """Takes no notice of a model's own casts to lower precision, and makes its constants float64: the
    traversal does the same."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if only_precision(op_name(func), args, kwargs):
            return args[0]
        return in_double(func(*args, **kwargs), args)


def only_precision(op: str, args, kwargs) -> bool:
    """Whether a call casts real numbers to another precision or place."""
    if op not in table.CASTS or not args or not torch.is_tensor(args[0]) or not args[0].is_floating_point():
        return False
    if op not in PLACES:
        return op in ("float", "double", "half", "bfloat16")
    for item in (*args[1:], *kwargs.values()):
        kind = item.dtype if torch.is_tensor(item) else item
        if isinstance(kind, torch.dtype) and kind not in FLOATS:
            return False
        if op == "type" and (name := str(kind).rpartition(".")[2]).endswith("Tensor"):
            return name in ("FloatTensor", "DoubleTensor", "HalfTensor", "BFloat16Tensor")
    return True


def in_double(result, args=()):
    """What a call made, real numbers as float64; what it was given stays itself, written to or not."""
    if isinstance(result, torch.Tensor):
        if not result.is_floating_point() or result.dtype == torch.float64 or result.layout != torch.strided:
            return result
        return result if any(result is item for item in args) else result.double()
    if type(result) in (tuple, list) and any(isinstance(item, torch.Tensor) for item in result):
        return type(result)(in_double(item, args) for item in result)
    return result


def home(model: nn.Module) -> torch.device:
    """Where a model's weights lie."""
    return next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))


def _doubled(item, device):
    if not torch.is_tensor(item) or not item.is_floating_point():
        return item
    return item.detach().to(device, torch.float64)
