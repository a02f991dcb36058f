// Whether the document can be drawn. Chromium draws nothing of an HTML document whose parser was stopped before the
// body; `isMended`: writing again what was read of it makes one, except where the answer itself was cut short.
(isMended) => {
  if (isMended && !document.body && document instanceof HTMLDocument) {
    const begun = document.documentElement?.outerHTML ?? "";
    document.open();
    document.write(begun);
    document.close();
  }
  return !!document.body || !(document instanceof HTMLDocument);
};
