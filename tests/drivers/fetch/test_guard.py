"""What may be asked: every address of the corpus, as it stands and as what a name resolves to; and the lists."""

import threading
from ipaddress import ip_address

import pytest

from moorage.core.errors import Problem
from moorage.drivers.fetch.addresses import is_open, read
from moorage.drivers.fetch.guard import Guard
from moorage.drivers.fetch.settings import FetchSettings
from moorage.images.imports.fetch import SourceRefused
from tests.drivers.fetch.corpus import CLOSED, OPEN, REFUSED, TAKEN

PUBLIC = "8.8.4.4"


def guard(resolves_to=(PUBLIC,), **settings) -> Guard:
    return Guard(FetchSettings(**settings), lambda host, port: resolves_to)


def literal(address: str) -> str:
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED.keys())
def test_an_odd_address_is_refused_although_every_name_is_public(url):
    with pytest.raises(SourceRefused, match="does not pass filtering") as refusal:
        guard().admit(url)
    assert refusal.value.status == 400
    assert "secret" not in refusal.value.sentence


@pytest.mark.parametrize("url", ["file:///etc/passwd", "file:/etc/passwd", "FILE:", "ftp://example.org/x"])
def test_a_scheme_that_is_not_open_is_the_reason(url):
    """Whatever else such an address lacks: no host, no port."""
    with pytest.raises(SourceRefused, match=f"the scheme {url.partition(':')[0].lower()} is not open"):
        guard(allowed_schemes=()).admit(url)


@pytest.mark.parametrize("url", ["example.org:80/x", "example.org/x", "//example.org/x", ""])
def test_an_address_without_scheme_is_no_url(url):
    with pytest.raises(SourceRefused, match="not a plain URL"):
        guard().admit(url)


@pytest.mark.parametrize("address", CLOSED.values(), ids=CLOSED.keys())
def test_a_closed_network_is_refused_by_address_and_by_name(address):
    for url, resolved in ((literal(address), (PUBLIC,)), ("http://example.org/", (address,))):
        with pytest.raises(SourceRefused, match="not open"):
            guard(resolved).admit(url)


@pytest.mark.parametrize("address", CLOSED.values(), ids=CLOSED.keys())
def test_one_closed_address_among_open_ones_closes_the_name(address):
    with pytest.raises(SourceRefused, match="not open"):
        guard((PUBLIC, address)).admit("http://example.org/")


@pytest.mark.parametrize("address", OPEN)
def test_an_open_network_is_asked_by_address_and_by_name(address):
    assert guard().admit(literal(address)).addresses == (address,)
    assert guard((address,)).admit("http://example.org/").addresses == (address,)


@pytest.mark.parametrize("url", TAKEN)
def test_an_address_is_asked_as_it_was_read(url):
    target = guard().admit(url).target
    assert (target.scheme, target.host, target.port, target.path, target.authority) == TAKEN[url]


def test_a_name_without_an_address_is_refused():
    def nothing(host, port):
        raise OSError("no such name")

    for resolve in (nothing, lambda host, port: ()):
        with pytest.raises(SourceRefused, match="has no address"):
            Guard(FetchSettings(), resolve).admit("http://example.org/")


def test_names_that_nobody_answers_for_keep_no_others_waiting():
    answered = threading.Event()

    def resolve(host, port):
        if host == "slow.org":
            answered.wait(60)
        return (PUBLIC,)

    asked = Guard(FetchSettings(connect_timeout_s=1), resolve)
    try:
        for _ in range(5):
            with pytest.raises(SourceRefused, match="not found in time"):
                asked.admit("http://slow.org/")
        assert asked.admit("http://example.org/").addresses == (PUBLIC,)
    finally:
        answered.set()


def test_the_names_of_this_machine_are_closed():
    """With the real resolver."""
    with pytest.raises(SourceRefused, match="not open"):
        Guard(FetchSettings()).admit("http://localhost/")


LISTS = (
    # settings                                                          open                          closed
    ({"allowed_hosts": ("a.org",)},                                     "http://A.org/",              "http://b.org/"),
    ({"denied_hosts": ("a.org",)},                                      "http://b.org/",              "http://A.ORG/"),
    ({"allowed_hosts": ("a.org",), "denied_hosts": ("a.org",)},         "http://a.org/",              "http://b.org/"),
    ({"allowed_hosts": (".a.org",)},                                    "http://x.a.org/",            "http://xa.org/"),
    ({"allowed_hosts": (".a.org",)},                                    "http://x.y.a.org/",          "http://a.org/"),
    ({"denied_hosts": (".a.org",)},                                     "http://a.org/",              "http://x.a.org/"),
    ({"denied_hosts": ("8.8.8.8",)},                                    "http://8.8.8.9/",            "http://8.8.8.8/"),
    ({"allowed_schemes": ("https",)},                                   "https://a.org/",             "http://a.org/"),
    ({"allowed_schemes": (), "denied_schemes": ("http",)},              "https://a.org/",             "http://a.org/"),
    ({"allowed_schemes": ()},                                           "https://a.org/",             "ftp://a.org:80/"),
    ({"allowed_schemes": ("ftp", "http")},                              "http://a.org/",              "ftp://a.org:80/"),
    ({"allowed_ports": (8080,)},                                        "http://a.org:8080/",         "http://a.org/"),
    ({"allowed_ports": (), "denied_ports": (22,)},                      "http://a.org:23/",           "http://a.org:22/"),
    ({"allowed_ports": (80,), "denied_ports": (80,)},                   "http://a.org/",              "http://a.org:22/"),
    ({"allowed_networks": ("10.0.0.0/8",)},                             "http://10.1.2.3/",           "http://172.16.0.1/"),
    ({"allowed_networks": ("127.0.0.1",)},                              "http://127.0.0.1/",          "http://127.0.0.2/"),
    ({"allowed_networks": ("::1/128",)},                                "http://[::1]/",              "http://127.0.0.1/"),
    ({"allowed_networks": ("127.0.0.0/8",)},                            "http://127.0.0.1/",          "http://[::ffff:7f00:1]/"),
    ({"allowed_networks": ("64:ff9b::/96",)},                           "http://[64:ff9b::8.8.8.8]/", "http://[64:ff9b::127.0.0.1]/"),
    ({"allowed_networks": ("::ffff:0:0/96",)},                          "http://[::ffff:8.8.8.8]/",   "http://[::ffff:10.0.0.1]/"),
    ({"allowed_networks": ("2002::/16",)},                              "http://[2002:808:808::]/",   "http://[2002:a00:1::]/"),
    ({"denied_networks": ("8.0.0.0/8",)},                               "http://9.9.9.9/",            "http://8.8.8.8/"),
    ({"denied_networks": ("8.0.0.0/8",), "allowed_networks": ("8.8.8.8",)}, "http://8.8.8.8/",        "http://8.8.8.9/"),
)  # fmt: skip


@pytest.mark.parametrize(("settings", "fine", "refused"), LISTS)
def test_an_allowed_list_wins_over_its_denied_one(settings, fine, refused):
    guard(("9.9.9.9",), **settings).admit(fine)
    with pytest.raises(SourceRefused):
        guard(("9.9.9.9",), **settings).admit(refused)


def test_an_allowed_host_opens_no_network():
    with pytest.raises(SourceRefused, match="network that is not open"):
        guard(("10.0.0.1",), allowed_hosts=("a.org",)).admit("http://a.org/")


def test_the_default_networks_of_neighbours_are_closed_to_their_ends():
    for first, last in (("10.0.0.0", "10.255.255.255"), ("127.0.0.0", "127.255.255.255"), ("fc00::", "fdff:ffff::")):
        assert not is_open(ip_address(first)) and not is_open(ip_address(last))
    assert is_open(ip_address("11.0.0.0")) and is_open(ip_address("9.255.255.255"))


def test_a_network_that_is_none_stops_the_start():
    for text in ("ten", "10.0.0.1/8", "10.0.0.0/33"):
        with pytest.raises(Problem, match="no network"):
            read((text,))
