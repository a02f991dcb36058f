// Gives the document these style sheets, last so that they win, and again where the page took them away. Adopted ones are
// not subject to the page's own policy.
(sheets) => {
  globalThis.calotypeStyles ??= sheets.map((css) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    return sheet;
  });
  const others = document.adoptedStyleSheets.filter((sheet) => !globalThis.calotypeStyles.includes(sheet));
  document.adoptedStyleSheets = [...others, ...globalThis.calotypeStyles];
}
