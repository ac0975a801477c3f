"""Expires many records on a real MariaDB, as an operator would, and says what it took.

python -m tests.bench.many_expired --records 400000 --objects 2000
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from app.records.store import Records
from tests.databases import MariaDB
from tests.stack import ACCESS_KEY, REPO, SECRET, SECRET_KEY, MinIONode, started

#: Of so many records one names an object joined from parts, as pictures over 5 MiB are.
_JOINED = 10


def digest_of(n: int) -> str:
    return hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest()


def key_of(n: int) -> str:
    return f"openim/data/hash/{digest_of(n)}" if n % _JOINED == 0 else f"openim/data/once/{digest_of(n)}_{n:016x}"


def load(mariadb: MariaDB, folder: Path, count: int) -> None:
    def lines() -> Iterator[str]:
        for n in range(count):
            name = f"u{n % 997}/msg_picture_{n:012}_thumbnail.jpg"
            columns = (
                name,
                "u1",
                "m1",
                key_of(n),
                digest_of(n),
                digest_of(n),
                1000,
                "image/jpeg",
                "",
                1_500_000_000_000 + n,
            )
            yield "\t".join(map(str, columns)) + "\n"

    file = folder / "records.tsv"
    with file.open("w") as out:
        out.writelines(lines())
    mariadb.load(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE openim_direct_object", "bench")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--objects", type=int, default=2_000, help="That exist; the other records name missing ones.")
    parser.add_argument("--thumbnails", type=int, default=2_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        mariadb, node = MariaDB(folder / "mariadb"), MinIONode("m1", folder / "m1")
        try:
            mariadb.start()
            url = mariadb.create("bench", object_table=False)
            records = Records(url)
            records.prepare()
            records.close()
            load(mariadb, folder, chosen.records)
            with started({"m1": node}):
                run(folder, mariadb, node, url, chosen)
        finally:
            mariadb.stop()


def run(folder: Path, mariadb: MariaDB, node: MinIONode, url: str, chosen: argparse.Namespace) -> None:
    client = node.client()
    client.make_bucket(bucket_name="openim")
    step = max(1, chosen.records // chosen.objects)
    keys = [key_of(n) for n in range(0, chosen.records, step)]
    keys += [f"openim/thumbnail/{digest_of(n)}/image_w10_h10.jpeg" for n in range(0, chosen.thumbnails * step, step)]
    for key in keys:
        client.put_object(bucket_name="openim", object_name=key, data=io.BytesIO(b"x" * 1000), length=1000)
    config = folder / "instances.yaml"
    keys_of_node = {"bucket": "openim", "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    document = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": SECRET},
        "records": url,
        "nodes": {"m1": {"endpoint": node.url, **keys_of_node}},
        "instances": {"i1": {"node": "m1", "bind": "127.0.0.1:2"}},
    }
    config.write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "app", "expire", "--older-than", "100d", "--yes", "--config", str(config)]
    start = time.monotonic()
    child = os.posix_spawn(sys.executable, command, {**os.environ, "PYTHONPATH": str(REPO)})
    # Of this process alone.
    _, status, usage = os.wait4(child, 0)
    took = time.monotonic() - start
    print(f"exit code {os.waitstatus_to_exitcode(status)}, {took:.0f} s, peak memory {usage.ru_maxrss / 1024:.0f} MiB")
    left = mariadb.execute("SELECT COUNT(*) FROM openim_direct_object", (), "bench")[0][0]
    print(f"of {chosen.records} records {left} are left; of {len(keys)} objects and thumbnails {len(node.keys())}")


if __name__ == "__main__":
    main()
