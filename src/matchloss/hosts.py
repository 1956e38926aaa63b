"""The one place that names the modules which compute with other libraries' arrays; each is imported when its first array arrives.

It stands above the losses and the hosts: losses learn of hosts here, and import none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchloss.losses import _hosts

if TYPE_CHECKING:
    from matchloss.losses._hosts import Host


def _torch() -> Host:
    import matchloss.torch  # a statement, which torch.compile follows; it does not follow importlib

    return matchloss.torch


def _jax() -> Host:
    import matchloss.jax

    return matchloss.jax


_hosts.OPENERS.update(torch=_torch, jax=_jax, jaxlib=_jax)
