"""Thumbnails of many pictures are found by few listings where there are few, by a short one each where there are many."""

from __future__ import annotations

import hashlib
import random

import pytest

from app.core.model import StoredObject
from app.operations.recovery import Patience
from app.operations.thumbnails import missing_thumbnails
from app.operations.walk import LISTED, THUMBNAILS, content_hash, each_thumbnail


class Bucket:
    """A node's objects, page by page as S3 lists them."""

    id = "m1"

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys)
        self.listings = 0

    def list_page(self, prefix: str, after: str = "") -> list[StoredObject]:
        self.listings += 1
        found = [key for key in self.keys if key.startswith(prefix) and key > after]
        return [StoredObject(key, 1, 0.0, "e") for key in found[:LISTED]]


def etag(n: int) -> str:
    return hashlib.md5(str(n).encode()).hexdigest() + ("-7" if n % 5 == 0 else "")


def thumbnails(n: int, count: int = 2) -> list[str]:
    return [f"{THUMBNAILS}{etag(n)}/image_w{w}_h{w}.png" for w in range(count)]


@pytest.mark.parametrize(
    ("pictures", "wanted", "most"),
    [(0, 500, 1), (100, 500, 1), (2000, 500, 5), (20_000, 10, 11), (20_000, 300, 350), (3, 1, 1)],
)
def test_thumbnails_of_some_pictures(pictures: int, wanted: int, most: int) -> None:
    bucket = Bucket([key for n in range(pictures) for key in thumbnails(n)] + ["openim/zzz"])
    draw = random.Random(wanted)
    numbers = draw.sample(range(max(pictures, wanted)), wanted)
    found = list(each_thumbnail(bucket, Patience(0), {etag(n) for n in numbers}))
    assert sorted(found) == sorted(key for n in numbers if n < pictures for key in thumbnails(n))
    assert len(found) == len(set(found))
    assert bucket.listings <= most


def test_a_picture_of_more_thumbnails_than_a_page_and_one_of_none() -> None:
    bucket = Bucket([*thumbnails(1, 2 * LISTED + 5), *thumbnails(2), *thumbnails(4)])
    wanted = {etag(n) for n in (1, 2, 3)}
    found = list(each_thumbnail(bucket, Patience(0), wanted))
    assert sorted(found) == sorted([*thumbnails(1, 2 * LISTED + 5), *thumbnails(2)])
    assert list(each_thumbnail(bucket, Patience(0), set())) == []


class Known:
    """Records that know some pictures."""

    def __init__(self, etags: set[str]) -> None:
        self.etags = etags
        self.whole = 0

    def known_etags(self, node: str, etags: list[str], hashes: list[str] | None) -> set[str]:
        assert node == "m1"
        self.whole += hashes is None
        # By the index only those of one part are found.
        found = self.etags & set(etags)
        return found if hashes is None else {e for e in found if content_hash(e) in hashes and "-" not in e}


def test_thumbnails_go_along_with_pictures_that_moved() -> None:
    source = Bucket([key for n in range(30) for key in thumbnails(n)])
    target = Bucket([thumbnails(3)[0], *thumbnails(4), "openim/thumbnail/other/x"])
    records = Known({etag(n) for n in (3, 4, 5, 6)})
    missing = list(missing_thumbnails(records, Patience(0), source, target))
    assert sorted(missing) == sorted([thumbnails(3)[1], *thumbnails(5), *thumbnails(6)])
    assert records.whole == 1
