"""What may happen to the processes of our services."""

import signal
from random import Random

from tests.soak.strike import Strike
from tests.soak.world import World


async def kill(world: World, random: Random) -> str | None:
    if (member := world.fleet.one(random)) is None:
        return None
    member.end(signal.SIGKILL)
    return member.name


def armed(action: str, *points: str, nth_max: int = 4) -> Strike:
    """Replaces a process by one that will meet a failpoint, at the latest at its ``nth_max``-th pass; counted then."""

    async def strike(world: World, random: Random) -> None:
        point = random.choice(points)
        kind = "executor" if point.startswith(("exec", "refresh")) else "scanner" if point.startswith("scan") else None
        kind = kind or ("api" if point.startswith("api") else random.choice(["api", "scanner", "executor"]))
        if (member := world.fleet.one(random, kind, plain=True)) is not None:
            member.armed = f"{point}:{random.randint(1, nth_max)}:{action}"
            member.end(signal.SIGTERM)

    return strike


async def freeze(world: World, random: Random) -> str | None:
    if (member := world.fleet.one(random, "executor", "executor", "scanner", "api")) is None:
        return None
    world.fleet.freeze(member)
    return member.name


def unruly(how: str) -> Strike:
    """Replaces a process by one whose messages do not arrive as they were sent, until it is replaced again."""

    async def strike(world: World, random: Random) -> str | None:
        if (member := world.fleet.one(random, plain=True)) is None:
            return None
        member.dress = {"UNRULY": how, "UNRULY_SEED": str(random.getrandbits(32))}
        member.end(signal.SIGTERM)
        return member.name

    return strike
