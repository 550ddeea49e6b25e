"""Nets as people write them, each against its own formula.

One file per kind of trouble:

| file | kind |
|---|---|
| `test_a_thresholds.py` | which operand of a maximum is the threshold |
| `test_b_writes.py` | writes, views, aliases and in-place activations |
| `test_c_ordinary.py` | ordinary nets: scalar outputs, kept batch sizes, class tokens, old parametrisations |
| `test_d_inputs.py` | inputs of every kind, and nets whose codes depend on the batch |
| `test_e_nonlinearities.py` | what is no listed activation, and what looks like one and is none |
| `test_f_decomposition.py` | the hooks of a decomposition |
| `test_g_traps.py` | small traps |
| `test_random_nets.py` | random nets of supported steps, against an interpreter in numpy |

How to add a net. Write it as its author would, most simply as a subclass of `harness.Three` (linear layers
`a`, `b`, `c`: 6 → 10 → 10 → 3) with

- `forward(self, x)`: the way it was written, aliases and all;
- `by_hand(self, x)`: the same function as a formula that writes into nothing, on float64 samples × …. It
  returns a list with one tensor for each layer of the code, samples × …, whose sign is the bit (for a layer
  with thresholds 0 and 6: `both(h, h - 6)`), and the output.

Then put it into the file's list. `harness.check` asks first that `by_hand` gives the net's own output, then
runs the net through one of `record`, `polytopes.segment`, `polytopes.plane` and `spd.attach` (the mark
`harness.through` asks for all four), and
"""

import pytest

pytest.register_assert_rewrite("zoo_of_nets.harness")
