"""Copies of networks that `copy.deepcopy` refuses, and what has no copy."""

import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from splinelab.errors import InputError
from splinelab.recording.copies import copied

pytestmark = pytest.mark.filterwarnings("ignore:.*(weight|spectral)_norm.*deprecated:FutureWarning")


class Keeps(nn.Module):
    """Leaves what it computed in attributes, plain and nested."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self._kept = {"all": []}

    def forward(self, x):
        self.last = self.fc(x)
        self._kept["all"].append((self.last[:, :2], x))
        return torch.relu(self.last)


NETS = {
    "plain": lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
    "keeps": Keeps,
    "weight_norm": lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4)), nn.ReLU()),
    "spectral_norm": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)), nn.ReLU()),
    "weight_norm of a cell": lambda: nn.utils.weight_norm(nn.GRUCell(4, 4), "weight_ih"),
    "parametrised": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.ReLU()),
    "orthogonal": lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(4, 4)), nn.ReLU()),
    "batch norm": lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_the_copy_computes_the_same_and_shares_nothing(name):
    torch.manual_seed(0)
    net = NETS[name]()
    net(torch.randn(5, 4)).sum().backward()  # in training mode, so that everything has run once
    before = copy.deepcopy(net.state_dict())
    grads = {key: weight.grad for key, weight in net.named_parameters()}
    twin = copied(net)
    assert twin.training and all(weight.requires_grad for weight in twin.parameters())
    x = torch.randn(6, 4)
    assert torch.equal(twin.eval()(x), net.eval()(x))
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    twin(x)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(weight.grad is grads[key] for key, weight in net.named_parameters())


def test_what_a_pass_left_behind_is_copied_by_its_values():
    net = Keeps()
    net(torch.randn(5, 4))
    twin = copied(net)
    assert torch.equal(twin.last, net.last) and twin.last is not net.last
    assert torch.equal(twin._kept["all"][0][0], net._kept["all"][0][0])
    assert net.last.requires_grad and not twin.last.requires_grad


def test_shared_modules_and_weights_stay_shared():
    fc = nn.utils.weight_norm(nn.Linear(4, 4))
    net = nn.Sequential(fc, fc, nn.Linear(4, 4))
    net[2].bias = fc.bias
    twin = copied(net)
    assert twin[0] is twin[1] and twin[2].bias is twin[0].bias and twin[0] is not fc


def test_a_copy_under_inference_mode_is_an_ordinary_net():
    with torch.inference_mode():
        made = nn.Linear(4, 4)
        made(torch.randn(2, 4))
        twin = copied(made)
    assert not twin.weight.is_inference() and twin.weight.requires_grad
    assert torch.equal(twin.weight, made.weight)


def locked():
    net = nn.Linear(2, 2)
    net.lock = threading.Lock()
    return net


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.LazyLinear(3)), "'0.weight' belongs to a lazy layer.*run the model once"),
        (lambda: nn.Sequential(nn.LazyBatchNorm1d()), "'0.weight' belongs to a lazy layer"),
        (lambda: nn.Linear(2, 2, device="meta"), "'weight' lies on the meta device"),
        (locked, "cannot be made: .*lock.*__deepcopy__"),
    ],
)
def test_what_has_no_copy(make, message):
    with pytest.raises(InputError, match=message):
        copied(make())
