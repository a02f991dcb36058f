// Appends style sheets to the document, last so that they win.
(sheets) => {
  for (const css of sheets) {
    const style = document.createElement("style");
    style.textContent = css;
    (document.head ?? document.documentElement).append(style);
  }
}
