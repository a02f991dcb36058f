// What the page says of itself, for the names asked for.
(names) => {
  globalThis.calotypeMask?.remove(); // which is ours
  const MOST_LINKS = 1000;
  const TEXT_CHARS = 500000;
  const HTML_CHARS = 1000000;
  const NAME_CHARS = 2000;
  const cut = (text) => (text ?? "").slice(0, NAME_CHARS);
  const content = (selector) => document.querySelector(selector)?.getAttribute("content") ?? null;
  const absolute = (url) => {
    try {
      return new URL(url, document.baseURI).href.slice(0, NAME_CHARS);
    } catch {
      return null;
    }
  };
  const facts = {
    title: () => cut(document.title),
    description: () => content('meta[name="description" i]')?.slice(0, NAME_CHARS) ?? null,
    open_graph: () => {
      const found = {};
      for (const element of document.querySelectorAll('meta[property^="og:"]')) {
        const name = element.getAttribute("property").slice(3);
        (Object.hasOwn(found, name) ? found[name] : (found[name] = [])).push(cut(element.getAttribute("content")));
      }
      return found;
    },
    icon: () => {
      const size = (link) => Math.max(0, ...[...link.sizes].map((each) => (each === "any" ? Infinity : parseInt(each, 10) || 0)));
      const links = [...document.querySelectorAll('link[rel~="icon" i][href]')];
      const best = links.reduce((most, link) => (most && size(most) >= size(link) ? most : link), null);
      return best ? absolute(best.getAttribute("href")) : absolute("/favicon.ico");
    },
    fonts: () => [
      ...new Set([...document.fonts].filter(({ status }) => status === "loaded").map(({ family }) => family.replace(/^["']|["']$/g, ""))),
    ],
    links: () => {
      const found = new Map();
      for (const link of document.querySelectorAll("a[href], area[href]")) {
        if (found.size >= MOST_LINKS) break;
        if (/^https?:/.test(link.href) && !found.has(link.href)) found.set(link.href, cut((link.innerText ?? link.alt ?? "").trim()));
      }
      return [...found].map(([url, text]) => ({ url: url.slice(0, NAME_CHARS), text }));
    },
    text: () => (document.body?.innerText ?? "").slice(0, TEXT_CHARS),
    html: () => {
      const doctype = document.doctype ? new XMLSerializer().serializeToString(document.doctype) : "";
      return (doctype + (document.documentElement?.outerHTML ?? "")).slice(0, HTML_CHARS);
    },
  };
  return Object.fromEntries(names.map((name) => [name, facts[name]()]));
}
