"""The table of operations: what each torch function is to a spline code.

Functions go by their plain name (`op_name`): `add` is `+`, `torch.add`, `x.add_` and `aten::add`. A call is
looked up where one of its operands depends on the samples; on anything else (weights, positions, token
masks) every operation is free. What stands in no row of this table, or not under its row's condition, is
refused by name and place.

| row | what becomes of the call |
|---|---|
| `SWITCHES` | bends at thresholds: a layer of the code (`splinelab.recording.rules`) |
| `POOLS`, `OTHER_POOLS` | the largest wins: coded with `pools=True` where a rule exists, else passes |
| `STRUCTURE`, `AFFINE`, `SUMS` | linear: passes |
| `PRODUCTS` | linear in each operand: passes; products of activations are gates and attention |
| `NORMALISATIONS`, `ATTENTION` | smooth, with no threshold of its own: passes |
| `STATISTICS`, `CURVES` | norms and variances, and the powers and roots in them: passes there |
| `CASTS` | passes unless real numbers become integers |
| `CONSTANTS`, `CHECKS` | the result no longer depends on the samples |
| `READS` | refused unless it gives a tensor: values leave torch, or decide what the model does |
| `RANDOM` | refused, whatever the operands: a code would change from call to call |
| `SOFTMAX` | smooth: passes as the weights of a sum of activations, as in attention; refused elsewhere |
| `SOFT` | refused; with `soft=True` coded by the sign of its input, the hard limit of a smooth gate |
| `SMOOTH` | refused: activations without a threshold |

Rotary functions are products with constants and sums, RMS and layer norms written by hand are `STATISTICS`
and `CURVES`: they have no row of their own, and pass.
"""

from typing import Any


def op_name(func: Any) -> str:
    """Plain name of a torch function: `relu` for `relu_`, `relu.default` and `torch.relu`, `T` for `x.T`."""
    name = getattr(func, "__name__", "")
    if name == "__get__":
        name = getattr(func.__self__, "__name__", name)
    return name.removeprefix("aten::").split(".")[0].strip("_")


def names_of(text: str) -> frozenset[str]:
    """A row of the table from its words."""
    return frozenset(text.split())


# Each has its thresholds in `rules.RULES`.
BOUNDED = names_of("clamp clip clamp_min clamp_max maximum minimum fmax fmin max min")  # by an operand
SWITCHES = BOUNDED | names_of(
    "relu leaky_relu prelu abs absolute rrelu relu6 hardsigmoid hardtanh threshold hardshrink softshrink"
)

# Max-pooling with a rule, by the number of pooled dimensions; and pooling without one.
POOLS = {f"max_pool{n}d{suffix}": n for n in (1, 2, 3) for suffix in ("", "_with_indices")}
OTHER_POOLS = frozenset(
    [f"{kind}_max_pool{n}d{suffix}" for kind in ("adaptive", "fractional") for n in (1, 2, 3)
     for suffix in ("", "_with_indices")] + ["amax", "amin", "max", "min"]
)  # fmt: skip

ALL_POOLS = OTHER_POOLS.union(POOLS)

# The same numbers elsewhere, or with constants among them. A mask or an index must be a constant.
STRUCTURE = names_of(
    "view reshape view_as reshape_as flatten unflatten ravel squeeze unsqueeze transpose permute movedim "
    "moveaxis swapaxes swapdims t T mT expand expand_as repeat tile repeat_interleave broadcast_to "
    "contiguous clone detach data positive narrow select index_select getitem chunk split "
    "split_with_sizes tensor_split unsafe_chunk unsafe_split "
    "hsplit vsplit dsplit unbind iter flip fliplr flipud rot90 roll as_strided "
    "diagonal diag diag_embed tril triu gather take take_along_dim masked_select unfold "
    "pad pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle alias lift_fresh "
    "max_unpool1d max_unpool2d max_unpool3d atleast_1d atleast_2d atleast_3d requires_grad retain_grad "
    "refine_names rename align_to "
    "where masked_fill masked_scatter setitem copy fill zero index_put index_copy index_fill scatter "
    "select_scatter slice_scatter diagonal_scatter nan_to_num real imag conj resolve_conj resolve_neg "
    "view_as_real view_as_complex meshgrid "
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout"
)

# Of these, what takes from its second operand no more than shape, type or place.
SHAPED_LIKE = names_of("expand_as view_as reshape_as type_as to")

# Linear in one operand. `WEIGHTED` multiplies with weights: integers that reach it are images or features
# that nobody converted.
WEIGHTED = names_of(
    "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution batch_norm"
)
REDUCTIONS = names_of(
    "mean sum nanmean nansum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
    "adaptive_avg_pool3d"
)
NEGATIONS = names_of("neg negative")
AFFINE = (WEIGHTED | REDUCTIONS | NEGATIONS) | names_of(
    "conv_tbc interpolate upsample upsample_nearest upsample_bilinear fold unfold grid_sample cumsum diff "
    "trace embedding embedding_bag fft_fft fft_ifft fft_rfft fft_irfft fft_fft2 fft_ifft2 fft_rfft2 "
    "fft_irfft2 fft_fftn fft_ifftn fft_rfftn fft_irfftn fft_fftshift fft_ifftshift"
)
SUMS = names_of(
    "add iadd radd sub subtract isub rsub cat concat concatenate stack hstack vstack dstack column_stack "
    "row_stack index_add scatter_add lerp block_diag broadcast_tensors complex"
)
MULTIPLICATIONS = names_of("mul multiply imul rmul")
PRODUCTS = MULTIPLICATIONS | names_of(
    "matmul imatmul mm bmm mv dot vdot inner outer ger rmatmul einsum tensordot kron "
    "baddbmm addmm addbmm addmv addr addcmul bilinear multi_dot linalg_multi_dot linalg_matmul linalg_vecdot"
)
# In the denominator only a statistic, such as a norm, or a constant.
QUOTIENTS = names_of("div divide truediv itruediv idiv true_divide")
INVERTED = names_of("rdiv rtruediv")  # 1 / x
DIVISIONS = QUOTIENTS | INVERTED | {"addcdiv"}
SCALINGS = MULTIPLICATIONS | QUOTIENTS  # of one operand by a constant

NORMALISATIONS = names_of(
    "layer_norm rms_norm group_norm instance_norm local_response_norm normalize cosine_similarity"
)
ATTENTION = names_of("scaled_dot_product_attention multi_head_attention_forward attention")

# One non-negative number for a whole vector.
STATISTICS = names_of(
    "norm linalg_norm linalg_vector_norm linalg_matrix_norm frobenius_norm var std var_mean std_mean "
    "pairwise_distance"
)
# Powers: of activations only inside a statistic (mean(x²)), or of a ReLU (squared ReLU); roots of statistics.
CURVES = names_of("pow ipow rpow float_power square sqrt rsqrt reciprocal")

CASTS = names_of("to float double half bfloat16 type type_as cpu cuda long int short char byte bool")

CONSTANTS = names_of(
    "zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty new_tensor "
    "new_empty_strided"
)
CHECKS = names_of("isfinite isnan isinf isposinf isneginf isreal")
READS = names_of(
    "item bool int float index complex tolist numpy array dlpack contains equal allclose is_nonzero"
)

RANDOM = names_of(
    "rand randn randint randperm normal bernoulli multinomial poisson binomial rand_like randn_like "
    "randint_like uniform exponential geometric log_normal cauchy random gumbel_softmax"
)

SOFTMAX = names_of("softmax special_softmax")

# A gate times its input: x · σ(x), x · Φ(x). Modules of transformers that write out the second, by class.
SOFT = names_of("silu gelu")
SOFT_MODULES = {
    "transformers.activations.NewGELUActivation": "gelu_tanh",
    "transformers.activations.FastGELUActivation": "gelu_tanh",
    "transformers.activations.GELUTanh": "gelu_tanh",
    "transformers.activations.GELUActivation": "gelu",
}

# Activations and recurrent cells with no thresholds to code. What stands in no row is refused as they are.
SMOOTH = names_of(
    "mish tanh sigmoid special_expit logsigmoid log_sigmoid softplus softsign tanhshrink "
    "elu celu selu glu hardswish "
    "softmin log_softmax gumbel_softmax special_log_softmax "
    "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell transformer_encoder_layer_fwd"
)

KNOWN = frozenset().union(
    SWITCHES, POOLS, OTHER_POOLS, STRUCTURE, AFFINE, SUMS, PRODUCTS, DIVISIONS, NORMALISATIONS, ATTENTION,
    STATISTICS, CURVES, CASTS, CONSTANTS, CHECKS, READS, RANDOM, SOFTMAX, SOFT, SMOOTH,
)  # fmt: skip
