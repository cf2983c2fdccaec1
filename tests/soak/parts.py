"""What may happen to the parts that our services need, and on the way to them."""

import asyncio
from random import Random

from aiokafka.admin import AIOKafkaAdminClient

from libs.common.contracts.topics import FILE_BATCHES, RUN_REQUESTS
from tests.soak.strike import Strike
from tests.soak.world import World
from tests.support.eventually import eventually
from tests.support.proxy import CutOn, Healthy, TcpProxy
from tests.support.proxy import Fault as TcpFault
from tests.support.s3_proxy import Fault as StoreFault

STRIKES_WITHIN_S = 20.0
LASTS_S = (2.0, 8.0)


def during(at: str, *faults: TcpFault, cut_first: bool = False) -> Strike:
    """The way there is bad for some seconds."""

    async def strike(world: World, random: Random) -> str:
        proxy: TcpProxy = getattr(world, at)
        async with world.only_one(at):
            fault = random.choice(faults)
            proxy.fault = fault
            try:
                cut = proxy.cut() if cut_first else 0
                lasts_s = random.uniform(*LASTS_S)
                await asyncio.sleep(lasts_s)
            finally:
                proxy.fault = Healthy()
        return f"{type(fault).__name__.lower()} for {lasts_s:.0f} s" + (f", {cut} connections" if cut_first else "")

    return strike


def cut_all(at: str) -> Strike:
    async def strike(world: World, random: Random) -> str | None:
        proxy: TcpProxy = getattr(world, at)
        return f"{count} connections" if (count := proxy.cut()) else None

    return strike


def cut_on(at: str, *faults: CutOn, nth_max: int = 1) -> Strike:
    """Waits some seconds for somebody to say the word."""

    async def strike(world: World, random: Random) -> str | None:
        proxy: TcpProxy = getattr(world, at)
        async with world.only_one(at):
            chosen = random.choice(faults)
            fault = CutOn(chosen.asked, chosen.when, chosen.answer, random.randint(1, nth_max))
            already = proxy.struck
            proxy.fault = fault
            try:
                await eventually(lambda: proxy.struck > already, STRIKES_WITHIN_S)
            except AssertionError:
                return None
            finally:
                proxy.fault = Healthy()
        return f"{fault.asked.decode()} {fault.when}"

    return strike


def store(*faults: StoreFault) -> Strike:
    """The object store spoils answers for some seconds."""

    async def strike(world: World, random: Random) -> str | None:
        async with world.only_one("store"):
            fault = random.choice(faults)
            already = world.store.struck
            world.store.faults = [fault]
            try:
                await asyncio.sleep(random.uniform(*LASTS_S))
            finally:
                world.store.faults = []
                world.store.asked.clear()
        struck = world.store.struck - already
        return f"{type(fault).__name__}, {struck} answers" if struck else None

    return strike


async def restart_spark(world: World, random: Random) -> str:
    async with world.only_one("spark"):
        await world.server.kill()
        await asyncio.sleep(random.uniform(0, 3))
        await world.server.start()
    return "server"


async def restart_broker(world: World, random: Random) -> str:
    async with world.only_one("broker"):
        await world.broker.kill()
        away_s = random.uniform(*LASTS_S)
        await asyncio.sleep(away_s)
        await world.broker.start()
    return f"away for {away_s:.0f} s"


async def delete_topic(world: World, random: Random) -> str:
    prefix = world.autoloader.environment["AUTOLOADER_TOPIC_PREFIX"]
    topic = random.choice([FILE_BATCHES, RUN_REQUESTS]).name(prefix)
    async with world.only_one("broker"):
        admin = AIOKafkaAdminClient(bootstrap_servers=world.broker.bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([topic])
        finally:
            await admin.close()
    return topic
