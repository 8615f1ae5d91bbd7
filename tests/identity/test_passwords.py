"""Passwords: costly to guess, two at a time, an unknown user as costly as a known one."""

import asyncio
import threading

import pytest
from argon2 import extract_parameters

from moorage.identity import passwords
from moorage.identity.errors import TooManyLogins
from moorage.identity.passwords import Turnstile


def test_digests_are_argon2id_with_salts_of_their_own() -> None:
    one, two = passwords.digest("secret"), passwords.digest("secret")
    assert one != two
    cost = extract_parameters(one)
    assert (cost.type.name, cost.time_cost, cost.memory_cost) == ("ID", 2, 19 * 1024)
    assert passwords.fits(one, "secret")
    assert not passwords.fits(one, "Secret")
    assert not passwords.fits("junk", "secret")


def test_nobodys_password_costs_the_same_and_never_fits() -> None:
    assert extract_parameters(passwords._NOBODYS) == extract_parameters(passwords.digest("x"))
    assert not passwords.fits(None, "a")


def test_two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, guard, pair = 0, 0, threading.Lock(), threading.Barrier(passwords.AT_ONCE, timeout=60)

    def verify(kept: str, given: str) -> bool:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        pair.wait()
        with guard:
            running -= 1
        return True

    monkeypatch.setattr(passwords, "_hasher", type("Slow", (), {"verify": staticmethod(verify)}))
    threads = [threading.Thread(target=passwords.fits, args=("x", "y")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, pair.broken) == (passwords.AT_ONCE, False)


def test_the_queue_is_bounded_and_moves_on() -> None:
    turnstile, gate = Turnstile(waiting=1), threading.Event()

    async def crowd() -> list[object]:
        waiting = [asyncio.ensure_future(turnstile.passed(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyLogins):
            await turnstile.passed(gate.wait)
        gate.set()
        return list(await asyncio.gather(*waiting))

    assert asyncio.run(crowd()) == [True] * 3

    async def next_one() -> bool:
        return await turnstile.passed(lambda: True)

    assert asyncio.run(next_one())
