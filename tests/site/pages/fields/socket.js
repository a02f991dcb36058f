// Opens a socket to the server it came from, as page, frame or worker, and tells when that came to nothing.
{
  const own = new URL(self.document?.currentScript.src ?? location.href);
  const name = own.searchParams.get("name");
  const socket = new WebSocket(`ws://${own.host}/socket/${name}`);
  socket.onerror = () => {
    new BroadcastChannel("sockets").postMessage(name);
    self.parent?.postMessage(name, "*");
  };
}
