// Gives a frame's document these style sheets, once. Adopted ones are not subject to the document's own policy.
(sheets) => {
  if (globalThis.calotypeStyles) return;
  globalThis.calotypeStyles = sheets.map((css) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    return sheet;
  });
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, ...globalThis.calotypeStyles];
}
