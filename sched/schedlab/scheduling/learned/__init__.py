"""A scorer whose weights are learned, and the tools to train one.

`features` says what is known of a pod and a node, `model` holds weights and the card that goes with
them, `score` and `scheduler` use them. `problem` and `replay` place pods by a model at the speed of
compiled code, which is what `search` (CMA-ES) and `imitation` (learning from look-ahead) need.
Heavy libraries are imported in `search` and `imitation` alone.
"""
