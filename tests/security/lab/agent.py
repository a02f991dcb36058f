"""The process that keeps a network namespace alive and makes sockets in it, for whoever asks on its one connection.

    python -I -S agent.py DESCRIPTOR

A socket belongs to the namespace that it was made in, wherever it is used from: so all servers, clients and watchers of
the laboratory are plain code of the test process. A request is the three arguments of `socket.socket`.
"""

import json
import socket
import sys

control = socket.socket(fileno=int(sys.argv[1]))
control.send(b"ready")
while request := control.recv(256):
    try:
        with socket.socket(*json.loads(request)) as made:
            socket.send_fds(control, [b"made"], [made.fileno()])
    except OSError as error:
        control.send(repr(error).encode())
