"""The one form of an address, and what is none."""

from __future__ import annotations

import pytest

from app.core.addresses import authority, canonical_bind, canonical_host, canonical_url, endpoint, is_loopback


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("http://h", "http://h"),
        ("HTTP://LocalHost:9001", "http://localhost:9001"),
        ("http://LocalHost:80/S3/m1/", "http://localhost/S3/m1"),
        ("https://IM.Example.com:443", "https://im.example.com"),
        ("https://h:80", "https://h:80"),
        ("http://h:443", "http://h:443"),
        ("http://h:00080", "http://h"),
        ("http://h:09001", "http://h:9001"),
        # International names, as browsers and IDNA2008 have them.
        ("https://B\u00dcCHER.example", "https://xn--bcher-kva.example"),
        ("https://stra\u00dfe.de", "https://xn--strae-oqa.de"),
        ("https://\u4e2d\u56fd\u3002cn:443/x", "https://xn--fiqs8s.cn/x"),
        ("https://XN--BCHER-KVA.example", "https://xn--bcher-kva.example"),
        # Addresses, as browsers write them.
        ("http://[::1]:10002", "http://[::1]:10002"),
        ("http://[0:0:0::0001]:80", "http://[::1]"),
        ("http://[FD00::A]/x", "http://[fd00::a]/x"),
        ("http://[2001:db8:0:0:1:0:0:1]", "http://[2001:db8::1:0:0:1]"),
        ("http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1.", "http://127.0.0.1"),
        # To browsers and Go's client these are two hosts.
        ("http://h.example.", "http://h.example."),
        ("http://a-1.b--c/~x/y.z/", "http://a-1.b--c/~x/y.z"),
    ],
)
def test_one_form(written: str, form: str) -> None:
    assert canonical_url(written) == form
    assert canonical_url(form) == form


CANARY = "canary"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("http://canary_1", "underscore.*Java.*write"),
        ("http://a_b.canary:9000/x", "underscore"),
        ("http://\u00fc_canary.de", "underscore"),
        ("http://external_ip:10002", "placeholder.*write the address that clients call"),
        ("http://canary..de", "two dots"),
        ("http://.canary", "two dots|begin"),
        ("http://canary.de..", "two dots"),
        ("http://.", "must name a host"),
        ("http://", "must name a host"),
        ("http://:80", "must name a host"),
        (f"http://{'a' * 64}.de", "63"),
        (f"http://{'.'.join(['a' * 60] * 5)}", "253"),
        (f"http://{chr(0xFC) * 80}.de", "IDNA2008"),
        ("http://\u2603.canary", "IDNA2008"),
        ("http://xn--\u00fc.canary", "IDNA2008"),
        ("http://canary%41", "not percent-encoded"),
        ("http://canary\\x", "backslash"),
        ("http://h/canary\\x", "path"),
        ("http://a canary", "space"),
        ("http://canary\t", "control"),
        (" http://canary", "spaces around"),
        ("http://u:canary@h", "password"),
        ("http://canary@h", "password"),
        ("http://canary:@h@i", "password"),
        ("http://h?canary", "query"),
        ("http://h/#canary", "fragment"),
        ("http://h/canary/../x", "path"),
        ("http://h/./canary", "path"),
        ("http://h/a%20canary", "path"),
        ("http://h:", "port"),
        ("http://h:0", "port"),
        ("http://h:65536", "port"),
        ("http://h:+80", "port"),
        ("http://h:\u0668\u0660", "port"),
        ("http://h:8:9", "port"),
        ("http://-canary.de", "letters, digits"),
        ("http://canary-.de", "letters, digits"),
        ("http://can!ary", "letters, digits"),
        ("http://127.1", "four numbers"),
        ("http://010.0.0.1", "four numbers"),
        ("http://0x7f.0.0.1", "four numbers"),
        ("http://0x7f000001", "four numbers"),
        ("http://2130706433", "four numbers"),
        ("http://256.0.0.1", "four numbers"),
        ("http://canary.123", "four numbers"),
        ("http://::1", "brackets"),
        ("http://[::1", "brackets"),
        ("http://[::g]", "brackets"),
        ("http://[127.0.0.1]", "brackets"),
        ("http://[fe80::1%eth0]", "zone"),
        ("http://[fe80::1%25eth0]", "zone"),
        ("http://[::1]canary", "host"),
        ("ftp://canary", "http://"),
        ("canary", "http://"),
        ("//canary", "http://"),
        ("http:/canary", "http://"),
        ("", "http://"),
    ],
)
def test_what_is_no_address_is_said_without_a_piece_of_it(written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as e:
        canonical_url(written)
    assert CANARY not in str(e.value)


def test_binds_keep_their_port() -> None:
    assert canonical_bind("LocalHost:080") == "localhost:80"
    assert canonical_bind("[0::0]:10011") == "[::]:10011"
    for bad in ("h:", ":80", "[::1]", "a_b:80", "h:99999"):
        with pytest.raises(ValueError, match=r"host|port"):
            canonical_bind(bad)


def test_parts() -> None:
    assert authority("http://[::1]:9000/s3/m1") == "[::1]:9000"
    assert endpoint("http://[::1]:9000/s3/m1") == ("[::1]", 9000)
    assert endpoint("https://[fd00::1]/x") == ("[fd00::1]", 443)
    assert endpoint("http://h") == ("h", 80)
    assert endpoint("http://h:8080/a") == ("h", 8080)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:7f00:1]"]
)
def test_this_machine(host: str) -> None:
    assert is_loopback(canonical_host(host))


@pytest.mark.parametrize("host", ["h", "localhost.example.com", "notlocalhost", "10.0.0.1", "[::]", "[fd00::1]", "0.0.0.0"])
def test_other_machines(host: str) -> None:
    assert not is_loopback(canonical_host(host))
