"""The shape of everything that may happen in a soak."""

from collections.abc import Awaitable, Callable
from random import Random

from tests.soak.world import World

Strike = Callable[[World, Random], Awaitable[str | None]]
"""Does it, and says in words what was hit; None if nothing was, because nobody came by."""
