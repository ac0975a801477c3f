"""What this product needs of the minio SDK, on a real node. Run as a program, it checks the SDK that Python finds first:

python -m tests.integration.minio_contract http://127.0.0.1:9000
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from contextlib import closing
from pathlib import Path

import minio
import pytest
import requests
import yaml

from app.config.load import parse
from app.core.errors import InternalError
from app.core.model import ChangedObject, InvalidParts, NoSuchUpload, ObjectInfo
from app.storage.node import Node
from tests.stack import ACCESS_KEY, PART, SECRET_KEY


def node_at(url: str) -> Node:
    node = {"endpoint": url, "bucket": f"contract-{os.getpid()}", "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    document = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": "s3cr3t"},
        "nodes": {"m1": node},
        "instances": {"i1": {"node": "m1", "bind": "127.0.0.1:2"}},
    }
    return Node(parse(yaml.safe_dump(document), {}, Path("/base")).nodes["m1"])


def multipart(node: Node) -> None:
    key = "openim/data/hash/multi part+図"
    upload = node.create_upload(key)
    first, last = os.urandom(PART), b"last"
    assert node.list_parts(key, upload) == []
    parts = [(1, len(first)), (2, len(last))]
    for content, url in zip((first, last), node.sign_parts(key, upload, parts, 60), strict=True):
        assert requests.put(url, data=content, timeout=30).status_code == 200
    etags = [hashlib.md5(content).hexdigest() for content in (first, last)]
    listed = node.list_parts(key, upload)
    assert [(p.number, p.etag, p.size) for p in listed] == [(1, etags[0], PART), (2, etags[1], 4)]
    ((found_key, _, begun),) = node.unfinished()
    assert found_key == key
    assert [len(node.unfinished(k)) for k in (key, "openim/data/hash/multi")] == [1, 0]
    assert abs(begun - time.time()) < 60
    for wrong in ([etags[1], etags[0]], [*etags, etags[0]]):
        with pytest.raises(InvalidParts):
            node.complete_upload(key, upload, wrong)
    assert node.stat(key) is None
    node.complete_upload(key, upload, etags)
    joined = hashlib.md5(b"".join(bytes.fromhex(e) for e in etags)).hexdigest()
    assert node.stat(key) == ObjectInfo(PART + 4, f"{joined}-2", "application/octet-stream")
    assert node.first_part(key) == PART
    node.put("openim/put", b"x")
    joined_one, put_one = node.written(key), node.written("openim/put")
    assert joined_one is not None
    assert put_one is not None
    assert (joined_one.age < 60, joined_one.ours, put_one.ours) == (True, True, False)
    node.remove("openim/put")
    with pytest.raises(NoSuchUpload):
        node.complete_upload(key, "00000000-gone", etags)
    with pytest.raises(NoSuchUpload):
        node.list_parts(key, "00000000-gone")
    node.abort_upload(key, "00000000-gone")
    node.remove(key)


def many_parts(node: Node) -> None:
    """Over one page of a list; too small to be joined, since only the last part may be under 5 MiB."""
    key = "openim/data/hash/many"
    upload = node.create_upload(key)
    count = 1003
    session = requests.Session()
    for url in node.sign_parts(key, upload, [(n, 1) for n in range(1, count + 1)], 300):
        assert session.put(url, data=b"x", timeout=30).status_code == 200
    parts = node.list_parts(key, upload)
    assert [p.number for p in parts] == list(range(1, count + 1))
    with pytest.raises(InvalidParts):
        node.complete_upload(key, upload, [p.etag for p in parts])
    # By the ID that the list names.
    ((_, listed, _),) = node.unfinished()
    node.abort_upload(key, listed)
    with pytest.raises(NoSuchUpload):
        node.list_parts(key, upload)
    assert node.unfinished() == []


def objects(node: Node) -> None:
    key = "openim/a b+c%図"
    assert node.stat(key) is None
    assert node.read(key, 10) == b""
    node.put(key, b"0123456789")
    assert node.read(key, 4) == b"0123"
    node.put_once(key, b"other", "text/plain")
    assert node.read(key, 99) == b"0123456789"
    node.put_once("openim/once", b"once", "text/plain")
    found = node.stat("openim/once")
    assert found == ObjectInfo(4, hashlib.md5(b"once").hexdigest(), "text/plain")
    node.copy("openim/once", "openim/copy", found.etag)
    assert node.stat("openim/copy") == found
    with pytest.raises(InternalError):
        node.copy("openim/once", "openim/copy", hashlib.md5(b"another").hexdigest())
    with node.reading(key, hashlib.md5(b"0123456789").hexdigest(), 3, 4) as stream:
        assert stream.read() == b"3456"
    for changed in (key, "openim/none"):
        with pytest.raises(ChangedObject), node.reading(changed, found.etag, 0, 4):
            pass
    content = os.urandom(3 << 20)
    etag = node.write("openim/stream", io.BytesIO(content), len(content), "a/b")
    assert node.stat("openim/stream") == ObjectInfo(len(content), hashlib.md5(content).hexdigest(), "a/b")
    assert etag == hashlib.md5(content).hexdigest()
    assert node.write("openim/stream", io.BytesIO(b"x"), 1, "") == ""
    assert node.write("openim/empty", io.BytesIO(), 0, "") == hashlib.md5(b"").hexdigest()
    assert node.read("openim/empty", 10) == b""
    with node.reading("openim/empty", hashlib.md5(b"").hexdigest(), 0, 0) as stream:
        assert stream.read() == b""
    listed = {o.key: o.size for o in node.list_page("openim/")}
    assert listed == {key: 10, "openim/once": 4, "openim/copy": 4, "openim/stream": len(content), "openim/empty": 0}
    assert node.list_page("openim/", "openim/once")[0].key == "openim/stream"
    assert node.written("openim/none") is None
    # Also those that are not there.
    assert node.remove_many([*listed, "openim/none"]) == {}
    node.remove(key)
    assert node.list_page("") == []


def forms(node: Node) -> None:
    url, fields = node.sign_form("openim/temp/form/f", 5, "text/plain", 60)
    for content, status in ((b"four", 400), (b"fives", 204)):
        answer = requests.post(url, data=fields, files={"file": content}, timeout=10)
        assert answer.status_code == status, answer.text
    assert node.read("openim/temp/form/f", 10) == b"fives"
    node.remove("openim/temp/form/f")


def node_as_a_whole(node: Node) -> None:
    assert node.diagnose()[0] == "NoSuchBucket"
    assert node.probe() < 2
    code, date = node.diagnose()
    assert (code, date[-3:]) == ("", "GMT")
    node.make_missing_bucket()
    node.probe_put()
    assert node.write_once
    assert node.object_lock() == ""
    assert node.unfinished_expiry() == 86400


def check(url: str) -> str:
    """The version that was checked."""
    with closing(node_at(url)) as node:
        node_as_a_whole(node)
        multipart(node)
        many_parts(node)
        objects(node)
        forms(node)
    return minio.__version__


if __name__ == "__main__":
    print(check(sys.argv[1]))
