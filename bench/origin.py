"""The origin of `egress.py`: nginx on loopback with HTTP/1.1 kept alive, and HTTP/2 over TLS; else `site.py`.

Its files are small images and one page of 60 of them, and one of 20 MB (10^6 bytes) with a page that fetches it.
"""

from __future__ import annotations

import io
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

IMAGES = 60
LARGE_BYTES = 20_000_000
_LARGE_PAGE = """<!doctype html><title>large</title><script>
window.done = fetch('large.bin').then((answer) => answer.arrayBuffer()).then((body) => body.byteLength);
</script>"""
_NGINX = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000; etag off;
  client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
  uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
  types {{ text/html html; image/png png; application/octet-stream bin; }}
  ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
  server {{ listen 127.0.0.1:{http}; root {directory}/files; }}
  server {{ listen 127.0.0.1:{https} ssl http2; root {directory}/files; }}
}}
"""


def _write_files(directory: Path) -> None:
    dice = random.Random(60)
    for number in range(IMAGES):
        encoded = io.BytesIO()
        Image.frombytes("RGB", (24, 24), dice.randbytes(24 * 24 * 3)).save(encoded, "PNG")
        (directory / f"{number}.png").write_bytes(encoded.getvalue())
    images = "".join(f'<img src="{number}.png" width="24" height="24">' for number in range(IMAGES))
    (directory / "images.html").write_text(f"<!doctype html><title>images</title>{images}")
    (directory / "large.html").write_text(_LARGE_PAGE)
    (directory / "large.bin").write_bytes(dice.randbytes(LARGE_BYTES))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_answer(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit("the origin did not start")


class Origin:
    """Running while the `with` block is. `https` is "" where there is no nginx."""

    def __enter__(self) -> Origin:
        self._directory = Path(tempfile.mkdtemp(prefix="calotype-bench-origin-"))
        self._directory.chmod(0o755)  # nginx started as root reads it as nobody
        files = self._directory / "files"
        files.mkdir(mode=0o755)
        _write_files(files)
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
        if nginx and shutil.which("openssl"):
            self._start_nginx(nginx)
        else:
            self._start_site(files)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start_nginx(self, nginx: str) -> None:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-keyout", str(self._directory / "key.pem"), "-out", str(self._directory / "cert.pem")),
                *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
            ],
            check=True,
            capture_output=True,
        )
        http, https = _free_port(), _free_port()
        configuration = self._directory / "nginx.conf"
        configuration.write_text(_NGINX.format(directory=self._directory, http=http, https=https))
        self._process = subprocess.Popen([nginx, "-p", str(self._directory), "-c", str(configuration)])
        self.name = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr.split()[-1]
        self.http, self.https = f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}"
        _await_answer(https, self._process)

    def _start_site(self, files: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.site", str(files)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.name = "bench.site (no nginx: HTTP/2 left out)"
        self.http, self.https = f"http://127.0.0.1:{int(self._process.stdout.readline())}", ""
