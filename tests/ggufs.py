"""GGUF files of small Llamas, for tests."""

import gguf


def begun(path, shape, tokens, types, merges, *, architecture="llama", pre="smollm"):
    """A writer that knows shape and tokenizer; tensors follow, then `finish`."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_heads)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    return writer


def finish(writer):
    """Write what a writer holds."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
