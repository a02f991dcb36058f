"""An S3 server of the tests' own: moto's, on a free port, a bucket for each who asks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx

_ACCESS_KEY, _SECRET_KEY = "tests", "only-of-the-tests"


@dataclass
class ObjectStore:
    """`environment` is what a process needs to use it."""

    process: subprocess.Popen[bytes]
    endpoint: str
    _names: Iterator[int] = field(default_factory=count)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def make_bucket(self) -> str:
        """The name of a new one."""
        name = f"bucket-{next(self._names)}"
        httpx.put(f"{self.endpoint}/{name}", headers=_signed_enough()).raise_for_status()
        return name

    def objects(self, bucket: str) -> list[str]:
        """The names in a bucket."""
        answer = httpx.get(f"{self.endpoint}/{bucket}?list-type=2", headers=_signed_enough()).raise_for_status().text
        return [part.partition("</Key>")[0] for part in answer.split("<Key>")[1:]]


def _signed_enough() -> dict[str, str]:
    """moto reads whose request it is and believes it."""
    credential = f"{_ACCESS_KEY}/20300101/us-east-1/s3/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"}


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    """Start it and wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = (
        "import json, sys, threading; from moto.server import ThreadedMotoServer;"
        f"server = ThreadedMotoServer('127.0.0.1', {port}, verbose=False); server.start();"
        "print(json.dumps('ready'), flush=True); threading.Event().wait()"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == "ready"
        yield ObjectStore(process, f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.communicate()
