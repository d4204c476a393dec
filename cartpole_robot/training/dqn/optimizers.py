"""PyTorch's optimizers, unchanged except that they do not load PyTorch's compiler.

A decorator on four of their methods imports `torch._dynamo` at the first call, which takes one to two seconds, only to
exclude the method from compilation. Nothing here is compiled.
"""

from __future__ import annotations

from typing import Any

import torch


def _undecorated(name: str) -> Any:
    method = getattr(torch.optim.Optimizer, name)
    return getattr(method, "__wrapped__", method)


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`."""

    add_param_group = _undecorated("add_param_group")
    load_state_dict = _undecorated("load_state_dict")
    state_dict = _undecorated("state_dict")
    zero_grad = _undecorated("zero_grad")


class Adagrad(torch.optim.Adagrad):
    """`torch.optim.Adagrad`."""

    add_param_group = _undecorated("add_param_group")
    load_state_dict = _undecorated("load_state_dict")
    state_dict = _undecorated("state_dict")
    zero_grad = _undecorated("zero_grad")
