// Makes WebSockets fail whose URL matches one of the globs, as `UrlGlobs` reads them. Chromium tells of sockets but lets
// nobody stop them. For the page they can't be reached: port 1 is one that Chromium opens no connection to.
(globs) => {
  const UNREACHABLE = "ws://blocked.invalid:1/";
  const patterns = globs.map((glob) => glob.split("*"));
  const matches = ([first, ...others], url) => {
    if (!others.length) return url === first;
    const last = others.pop();
    let place = first.length;
    const end = url.length - last.length;
    if (end < place || !url.startsWith(first) || !url.endsWith(last)) return false;
    for (const part of others) {
      const found = url.indexOf(part, place);
      if (found < 0 || found + part.length > end) return false;
      place = found + part.length;
    }
    return true;
  };
  const isBlocked = (given) => {
    try {
      const url = new URL(given, self.document?.baseURI ?? location.href);
      url.hash = "";
      const { href } = url;
      return patterns.some((pattern) => matches(pattern, href.replace(/^http/, "ws")));
    } catch {
      return false; // the constructor says what is wrong with it
    }
  };
  for (const name of ["WebSocket", "WebSocketStream"]) {
    const Own = self[name];
    if (!Own) continue;
    const construct = (target, [url, ...others], newTarget) => {
      const text = `${url}`;
      return Reflect.construct(target, [isBlocked(text) ? UNREACHABLE : text, ...others], newTarget);
    };
    self[name] = new Proxy(Own, { construct });
    Own.prototype.constructor = self[name];
  }
}
