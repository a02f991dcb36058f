// A blinking caret would make each picture another one.
() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(":root { caret-color: transparent !important }");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
};
