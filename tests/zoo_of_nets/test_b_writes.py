"""B: writes by index, views, aliases, buffers and in-place activations."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zoo_of_nets.harness import (
    Three,
    built,
    check,
    recorded_and_traced,
    relu,
    right_or_refused,
    samples,
    through,
)


class Written(Three):
    """`act` is given h = a(x) and may write into it; `formula` writes into nothing."""

    def __init__(self, act, formula):
        super().__init__()
        self.act, self.formula = act, formula
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.p = nn.Parameter(torch.linspace(-0.5, 0.5, 10))
        self.register_buffer("some", torch.arange(10) % 3 > 0)
        self.register_buffer("order", torch.tensor([7, 2, 9, 0, 4]))

    def forward(self, x):
        return self.c(self.act(self, self.a(x)))

    def by_hand(self, x):
        layers, y = self.formula(self, self.a(x))
        return layers, self.c(y)


def columns(h, chosen, new):
    """h with some columns replaced."""
    mask = torch.zeros(h.shape[1], dtype=torch.bool)
    mask[chosen] = True
    wide = torch.zeros_like(h)
    wide[:, chosen] = new
    return torch.where(mask, wide, h)


LOW, HIGH, EVEN = torch.arange(5), torch.arange(5, 10), torch.arange(0, 10, 2)


def part(chosen):
    """The ReLU of some columns, the others as they are."""
    return lambda n, h: ([h[:, chosen]], columns(h, chosen, relu(h[:, chosen])))


def twice(n, h):
    return [h], 2 * relu(h)


def once(n, h):
    return [h], relu(h)


def kept(n, h):
    return [h], h + relu(h)


NETS = {}


def net(formula, kind=NETS):
    """A net by its function; its name is the function's."""

    def add(act):
        kind[act.__name__] = (act, formula)
        return act

    return add


# Written by index


@net(part(LOW))
def slice_of_columns(n, h):
    h[:, :5] = F.relu(h[:, :5])
    return h


@net(part(LOW))
def slice_in_place(n, h):
    h[:, :5].relu_()
    return h


@net(part(LOW))
def slice_clamped(n, h):
    h[:, :5].clamp_(min=0)
    return h


@net(part(EVEN))
def every_second(n, h):
    h[..., ::2] = torch.relu(h[..., ::2])
    return h


@net(part([7, 2, 9, 0, 4]))
def list_of_columns(n, h):
    h[:, [7, 2, 9, 0, 4]] = F.relu(h[:, [7, 2, 9, 0, 4]])
    return h


@net(part([7, 2, 9, 0, 4]))
def buffer_of_columns(n, h):
    h[:, n.order] = F.relu(h[:, n.order])
    return h


@net(part([1, 2, 4, 5, 7, 8]))
def mask_of_columns(n, h):
    h[:, n.some] = F.relu(h[:, n.some])
    return h


@net(lambda n, h: ([h[:, i] for i in range(10)], relu(h)))
def column_by_column(n, h):
    for i in range(10):
        h[:, i] = F.relu(h[:, i])
    return h


@net(lambda n, h: ([columns(h, [3], 0.0)], columns(relu(h), [3], 0.0)))
def a_zero_column(n, h):
    h[:, 3] = 0
    return F.relu(h)


@net(lambda n, h: ([columns(h, LOW, n.p[:5])], relu(columns(h, LOW, n.p[:5]))))
def parameters_written(n, h):
    h[:, :5] = n.p[:5]
    return F.relu(h)


@net(lambda n, h: ([h], columns(relu(h), HIGH, relu(h)[:, :5])))
def one_half_onto_the_other(n, h):
    h = F.relu(h)
    h[:, 5:] = h[:, :5]
    return h


@net(lambda n, h: ([h], relu(h)[:, 5:].repeat(1, 2)))
def halves_swapped_without_a_copy(n, h):
    h = F.relu(h)
    h[:, :5], h[:, 5:] = h[:, 5:], h[:, :5]
    return h


@net(lambda n, h: ([h], torch.cat([relu(h)[:, 5:], relu(h)[:, :5]], 1)))
def halves_swapped_with_a_copy(n, h):
    h = F.relu(h)
    h[:, :5], h[:, 5:] = h[:, 5:].clone(), h[:, :5].clone()
    return h


def running(n, h):
    h = list(h.unbind(1))
    layers = []
    for i in range(1, 10):
        layers.append(h[i - 1])
        h[i] = h[i] + 0.5 * relu(h[i - 1])
    return layers, torch.stack(h, 1)


@net(running)
def each_onto_the_next(n, h):
    for i in range(1, 10):
        h[:, i] += 0.5 * F.relu(h[:, i - 1])
    return h


# Aliases


@net(twice)
def skip_is_a_view(n, h):
    skip = h.view(len(h), 10)
    h = F.relu_(h)
    return h + skip


@net(twice)
def skip_is_the_tensor(n, h):
    skip = h
    F.relu_(h)
    return h + skip


@net(twice)
def skip_after_an_in_place_module(n, h):
    y = n.relu(h)
    return y + h


@net(twice)
def skip_is_detached(n, h):
    skip = h.detach()
    return h.relu_() + skip


@net(twice)
def skip_is_data(n, h):
    skip = h.data
    return torch.relu_(h) + skip


@net(twice)
def skip_is_contiguous(n, h):
    skip = h.contiguous()
    return h.relu_() + skip


@net(twice)
def skip_is_reshaped(n, h):
    skip = h.reshape(-1, 2, 5)
    h.relu_()
    return h + skip.flatten(1)


@net(twice)
def skip_is_cast_to_its_own_type(n, h):
    skip = h.to(h.dtype)
    return h.clamp_(min=0) + skip


@net(twice)
def skip_through_dropout(n, h):
    skip = n.drop(h)
    return n.relu(h) + skip


@net(twice)
def skip_with_an_axis_more(n, h):
    skip = h[:, None]
    h.relu_()
    return h + skip[:, 0]


@net(twice)
def skip_expanded(n, h):
    skip = h.unsqueeze(1).expand(-1, 3, -1)
    h.relu_()
    return h + skip.mean(1)


@net(kept)
def skip_is_a_copy(n, h):
    skip = h.clone()
    return F.relu_(h) + skip


@net(kept)
def skip_is_a_sum(n, h):
    skip = h + 0
    return n.relu(h) + skip


@net(once)
def alias_written(n, h):
    alias = h
    alias[:] = F.relu(alias)
    return h


@net(lambda n, h: ([h, h + n.b(relu(h))], relu(h + n.b(relu(h)))))
def residual_added_to_an_alias(n, h):
    stream = h
    stream += n.b(F.relu(h))
    return F.relu(h)


@net(lambda n, h: ([h, h + n.b(relu(h))], relu(h + n.b(relu(h))) + h + n.b(relu(h))))
def residual_added_in_place(n, h):
    stream = h.view_as(h)
    h.add_(n.b(F.relu(h)))
    return F.relu(h) + stream


@net(lambda n, h: ([2 * h + n.p], relu(2 * h + n.p)))
def scaled_through_an_alias(n, h):
    alias = h.view(-1, 10)
    alias *= 2
    alias.add_(n.p)
    return F.relu(h)


@net(lambda n, h: ([h - h.mean(1, keepdim=True)], relu(h - h.mean(1, keepdim=True))))
def centred_in_place(n, h):
    h -= h.mean(1, keepdim=True)
    return h.relu_()


# Views, then a write into one of them


@net(part(LOW))
def first_of_a_chunk(n, h):
    first, _ = h.chunk(2, dim=1)
    first.relu_()
    return h


@net(part(HIGH))
def second_of_a_split(n, h):
    _, second = h.split(5, dim=1)
    F.relu(second, inplace=True)
    return h


@net(part(LOW))
def narrow(n, h):
    n.relu(h.narrow(1, 0, 5))
    return h


@net(part([3]))
def select(n, h):
    h.select(1, 3).relu_()
    return h


@net(part([0]))
def unbind(n, h):
    h.unbind(1)[0].clamp_(min=0)
    return h


@net(part(LOW))
def unflattened(n, h):
    h.unflatten(1, (2, 5))[:, 0].relu_()
    return h


@net(lambda n, h: ([h.view(-1, 2, 5).transpose(1, 2)], relu(h)))
def transposed(n, h):
    h.view(-1, 2, 5).transpose(1, 2).relu_()
    return h


@net(lambda n, h: ([h], 2 * relu(h)[:, :5].repeat(1, 2)))
def view_read_after_its_base_was_written(n, h):
    view = h[:, :5]
    h.relu_()
    return torch.cat([h[:, :5] + view, view * 2], 1)


@net(lambda n, h: ([h[:, :5], columns(h, LOW, relu(h[:, :5]))], relu(h)))
def view_first_and_base_later(n, h):
    view = h[:, :5]
    view.relu_()
    return h.relu_()


@net(lambda n, h: ([h[:, :5]], columns(columns(h, LOW, relu(h[:, :5])), [0, 1], relu(h[:, :2]) + 1)))
def view_of_a_view(n, h):
    view = h[:, :5].relu_()
    view[:, :2] += 1
    return h


# Buffers, copies, and other ways to write


@net(part(LOW))
def empty_filled_by_halves(n, h):
    out = torch.empty(len(h), 10, dtype=h.dtype)
    out[:, :5] = F.relu(h[:, :5])
    out[:, 5:] = h[:, 5:]
    return out


@net(part(HIGH))
def empty_like_filled(n, h):
    out = torch.empty_like(h)
    out[:, :5], out[:, 5:] = h[:, :5], F.relu(h[:, 5:])
    return out


@net(lambda n, h: ([h[:, EVEN]], columns(torch.zeros_like(h), EVEN, relu(h[:, EVEN]))))
def zeros_filled_every_second(n, h):
    out = h.new_zeros(h.shape)
    out[:, ::2] = F.relu(h[:, ::2])
    return out


@net(once)
def copied(n, h):
    h.copy_(F.relu(h))
    return h


@net(once)
def copied_into_zeros(n, h):
    out = torch.zeros_like(h)
    out.copy_(h)
    return out.relu_()


@net(lambda n, h: ([h[:, 5:]], columns(h, LOW, relu(h[:, 5:]))))
def copied_into_a_slice(n, h):
    h[:, :5].copy_(F.relu(h[:, 5:]))
    return h


@net(once)
def out_argument(n, h):
    torch.clamp(h, min=0, out=h)
    return h


@net(once)
def data_replaced(n, h):
    h.data = F.relu(h)
    return h


@net(lambda n, h: ([h, relu(h) + h], relu(relu(h) + h)))
def out_argument_of_a_sum(n, h):
    out = torch.empty_like(h)
    torch.add(F.relu(h), h, out=out)
    return F.relu(out)


@net(lambda n, h: ([h], columns(h, n.order, h[:, n.order] + relu(h)[:, :5])))
def index_add(n, h):
    return h.index_add(1, n.order, F.relu(h)[:, :5])


@net(lambda n, h: ([h], columns(relu(h), n.order, relu(h)[:, n.order] + relu(h)[:, :5])))
def index_add_in_place(n, h):
    h = F.relu(h)
    h.index_add_(1, n.order, h[:, :5].clone())
    return h


@net(lambda n, h: ([h], columns(h, n.order, relu(h)[:, :5])))
def index_copy(n, h):
    return h.clone().index_copy_(1, n.order, F.relu(h)[:, :5])


@net(lambda n, h: ([h], columns(relu(h), n.order, 0.5)))
def index_fill(n, h):
    return F.relu(h).index_fill_(1, n.order, 0.5)


@net(lambda n, h: ([columns(h, n.some, 0.0)], relu(columns(h, n.some, 0.0))))
def masked_fill(n, h):
    h.masked_fill_(n.some, 0.0)
    return F.relu(h)


@net(lambda n, h: ([h], columns(relu(h), n.some, h[:, n.some])))
def where_with_a_constant(n, h):
    return torch.where(n.some, h, F.relu(h))


@net(part(LOW))
def halves_joined(n, h):
    return torch.cat([F.relu(h[:, :5]), h[:, 5:]], dim=1)


@net(once)
def columns_stacked(n, h):
    h = F.relu(h)
    return torch.stack([h[:, i] for i in range(10)], dim=1)


@net(lambda n, h: ([h], relu(h) + n.p))
def zeroed_and_added(n, h):
    out = F.relu(h)
    h.zero_()
    h += out
    return h.add_(n.p)


@net(lambda n, h: ([h], torch.addcmul(h, relu(h), n.p)))
def addcmul(n, h):
    return h + F.relu(h).mul_(n.p)


@net(lambda n, h: ([h], h + (relu(h) - h) * 0.25))
def lerped(n, h):
    return torch.lerp(h, F.relu(h), 0.25)


@through
@pytest.mark.parametrize("name", NETS)
def test_what_is_written_is_what_is_read(name, through):
    check(built(lambda: Written(*NETS[name])), through)


# Rarer: right, or refused


RARE = {}


@net(lambda n, h: ([h], columns(h, n.order, relu(h)[:, :5])), RARE)
def scattered(n, h):
    return h.scatter(1, n.order.expand(len(h), -1), F.relu(h)[:, :5])


@net(lambda n, h: ([h], relu(h)[:, n.order].repeat(1, 2)), RARE)
def gathered(n, h):
    return F.relu(h).gather(1, n.order.expand(len(h), -1)).repeat(1, 2)


@net(lambda n, h: ([h], relu(h)), RARE)
def set_(n, h):
    out = torch.empty(0, dtype=h.dtype)
    return out.set_(F.relu(h))


@net(lambda n, h: ([h], relu(h)), RARE)
def kept_in_a_buffer(n, h):
    n.some_state = torch.zeros(len(h), 10, dtype=h.dtype)
    n.some_state += F.relu(h)
    return n.some_state


@net(lambda n, h: ([h], relu(h)), RARE)
def written_by_numpy(n, h):
    h = F.relu(h)
    h.numpy()[:] *= 1.0
    return h


@net(twice, RARE)
def strided(n, h):
    skip = torch.as_strided(h, h.shape, h.stride())
    return h.relu_() + skip


@net(lambda n, h: ([h], relu(h)), RARE)
def rows_one_by_one(n, h):
    for i in range(len(h)):
        h[i].copy_(h[i])
    return F.relu(h)


@net(lambda n, h: ([columns(h, LOW, h[:, :5] + h[:, 5:])], relu(columns(h, LOW, h[:, :5] + h[:, 5:]))), RARE)
def put_by_index_put(n, h):
    h.index_put_((torch.arange(len(h))[:, None], torch.arange(5)), h[:, 5:].clone(), accumulate=True)
    return F.relu(h)


@recorded_and_traced
@pytest.mark.parametrize("name", RARE)
def test_rarer_writes_are_followed_or_refused(name, through):
    right_or_refused(check, built(lambda: Written(*RARE[name])), through)


# Whole nets


class Overwrites(Three):
    """Writes into its own input."""

    def forward(self, x):
        x[:, 0] = 1
        x.relu_()
        return self.c(F.relu(self.a(x)))

    def by_hand(self, x):
        x = columns(x, [0], 1.0)
        h = self.a(relu(x))
        return [x, h], self.c(relu(h))


class Block(nn.Module):
    """A pre-activation block as in torchvision: the in-place ReLU changes the shortcut."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.out = nn.Linear(3, 4)

    def forward(self, x):
        h = self.conv1(x)
        identity = h
        out = self.conv2(self.relu(h))
        out += identity
        return self.out(self.relu(out).mean((2, 3)))

    def by_hand(self, x):
        h = self.conv1(x)
        out = self.conv2(relu(h)) + relu(h)
        return [h, out], self.out(relu(out).mean((2, 3)))


class Border(nn.Module):
    """Writes the ReLU into the inside of a feature map, and a zero frame round it."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 2, 3), nn.Linear(2 * 36, 3)

    def forward(self, x):
        h = self.conv(x)
        h[:, :, 1:-1, 1:-1] = F.relu(h[:, :, 1:-1, 1:-1])
        framed = torch.zeros(len(h), 2, 6, 6, dtype=h.dtype)
        framed[:, :, 1:5, 1:5] = h
        return self.out(framed.flatten(1))

    def by_hand(self, x):
        h = self.conv(x)
        inside = torch.zeros(4, 4)
        inside[1:3, 1:3] = 1
        new = h * (1 - inside) + relu(h) * inside
        return [h[:, :, 1:3, 1:3]], self.out(F.pad(new, (1, 1, 1, 1)).flatten(1))


class Stream(nn.Module):
    """Two blocks that add themselves to a stream in place; the first state is read again at the end."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Linear(6, 8), nn.Linear(8, 3)
        self.into = nn.ModuleList(nn.Linear(8, 5) for _ in range(2))
        self.back = nn.ModuleList(nn.Linear(5, 8) for _ in range(2))

    def forward(self, x):
        stream = first = self.embed(x)
        for into, back in zip(self.into, self.back, strict=True):
            stream += back(torch.relu(into(stream)))
        return self.out(stream + first)

    def by_hand(self, x):
        stream, layers = self.embed(x), []
        for into, back in zip(self.into, self.back, strict=True):
            layers.append(into(stream))
            stream = stream + back(relu(layers[-1]))
        return layers, self.out(2 * stream)


class Shared(nn.Module):
    """One in-place ReLU module on views of one tensor."""

    def __init__(self):
        super().__init__()
        self.a, self.c, self.relu = nn.Linear(6, 12), nn.Linear(12, 2), nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.a(x).view(-1, 3, 4)
        for i in range(3):
            self.relu(h[:, i])
        return self.c(h.flatten(1))

    def by_hand(self, x):
        h = self.a(x)
        return [h[:, :4], h[:, 4:8], h[:, 8:]], self.c(relu(h))


SHAPES = {Block: (5, 3, 4, 4), Border: (5, 1, 6, 6)}


@through
@pytest.mark.parametrize("make", [Overwrites, Block, Border, Stream, Shared])
def test_whole_nets(make, through):
    check(built(make), through, samples(*SHAPES.get(make, (7, 6))))
