"""What people and other programs may do meanwhile."""

from random import Random

from tests.soak.strike import Strike
from tests.soak.world import World

FOREIGN_ROWS = (1, 5)


async def append(world: World, random: Random) -> str | None:
    """Another writer adds rows to a table."""
    source = random.choice(world.sources)
    ids = [source.book.foreign_id() for _ in range(random.randint(*FOREIGN_ROWS))]
    source.book.doubtful.update(ids)
    try:
        values = ", ".join(f"({i}, 'foreign')" for i in ids)
        await world.sql(f"INSERT INTO {source.table} (id, text) VALUES {values}")
    except Exception:  # noqa: BLE001 - there may be no table just now; the oracle asks where the rows are
        return None
    source.book.doubtful.difference_update(ids)
    source.book.foreign.update(ids)
    return f"{len(ids)} rows into {source.name}"


async def compact(world: World, random: Random) -> str | None:
    source = random.choice(world.sources)
    name = source.table.split(".", 1)[1]
    try:
        await world.sql(
            f"CALL test_catalog.system.rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))"
        )
    except Exception:  # noqa: BLE001 - no table, or somebody else has changed the same files: then nothing was done
        return None
    return source.name


def refresh(mode: str) -> Strike:
    async def strike(world: World, random: Random) -> str | None:
        source = random.choice(world.sources)
        return source.name if await source.refresh(mode) else None

    return strike


async def audit(world: World, random: Random) -> str | None:
    """No fault: the product itself is asked whether all is well, in the middle of it."""
    source = random.choice(world.sources)
    report = await source.audit()
    if report["report"] is not None:
        found = {kind: report["report"][kind]["count"] for kind in ("duplicated", "orphaned", "miscounted")}
        if any(found.values()):
            source.audits.append(f"an audit found {found}: {report['report']}")
    return None
