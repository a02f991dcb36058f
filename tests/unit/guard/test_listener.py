"""Listening places: one port and many addresses, or the other way round."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from calotype.guard.listener import AddressPerChannel, PortPerChannel, open_listeners

linux_only = pytest.mark.skipif("sys.platform != 'linux'")


@linux_only
def test_an_address_per_channel_on_one_port() -> None:
    listeners = AddressPerChannel()
    bound = [listeners.bind() for _ in range(600)]
    places = [sock.getsockname() for sock in bound]
    for sock in bound:
        sock.close()
    listeners.close()
    assert {port for _, port in places} == {listeners.port}
    assert len({address for address, _ in places}) == 600
    assert places[0][0].startswith("127.9.")


@linux_only
def test_an_address_is_not_used_again_right_away() -> None:
    listeners = AddressPerChannel()
    first, second = listeners.bind(), listeners.bind()
    address = first.getsockname()
    first.close()
    third = listeners.bind()
    assert address not in (second.getsockname(), third.getsockname())
    second.close()
    third.close()
    listeners.close()


@linux_only
def test_a_taken_address_is_passed_over() -> None:
    listeners = AddressPerChannel()
    with socket.socket() as other:
        other.bind(("127.9.0.1", listeners.port))
        other.listen()
        with listeners.bind() as bound:
            assert bound.getsockname() == ("127.9.0.2", listeners.port)
    listeners.close()


@linux_only
def test_all_channel_addresses_are_ours() -> None:
    listeners = AddressPerChannel()
    assert listeners.owns(ip_address("127.9.200.3"), 80)
    assert not listeners.owns(ip_address("127.8.0.1"), listeners.port)
    assert not listeners.owns(ip_address("::1"), listeners.port)
    listeners.close()


def test_a_port_per_channel() -> None:
    listeners = PortPerChannel()
    with listeners.bind() as one, listeners.bind() as other:
        port = one.getsockname()[1]
        assert port != other.getsockname()[1]
        for text in ("127.0.0.1", "::1", "0.0.0.0", "::"):
            assert listeners.owns(ip_address(text), port)
        assert not listeners.owns(ip_address("1.1.1.1"), port)
    listeners.release(port)
    assert not listeners.owns(ip_address("127.0.0.1"), port)
    listeners.close()


def test_the_system_decides() -> None:
    listeners = open_listeners()
    assert (listeners.port > 0) is isinstance(listeners, AddressPerChannel)
    listeners.close()
