// Which of these characters no font has, each with the element it is in, and which the machine's fonts have.
// A character that no font has looks like U+FDD0, which no font may have.
(samples, isLate) => {
  const [missing, present] = [[], []];
  if (!samples.size) return { missing, present };
  const SIDE = 40;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.textBaseline = "top";
  const drawn = (character) => {
    context.clearRect(0, 0, SIDE, SIDE);
    context.fillText(character, 4, 4);
    return new Uint32Array(context.getImageData(0, 0, SIDE, SIDE).data.buffer);
  };
  const lacking = new Map(); // by font: what such a character looks like
  const isIn = (font, character) => {
    context.font = font;
    if (!lacking.has(font)) lacking.set(font, { width: context.measureText("\ufdd0").width, pixels: null });
    const like = lacking.get(font);
    if (context.measureText(character).width !== like.width) return true;
    like.pixels ??= drawn("\ufdd0");
    return drawn(character).some((value, index) => value !== like.pixels[index]);
  };
  for (const [character, element] of samples) {
    if (isLate()) break;
    const style = getComputedStyle(element);
    const code = character.codePointAt(0);
    if (isIn("20px sans-serif", character)) present.push(code);
    else if (!isIn(`${style.fontStyle} ${style.fontWeight} 20px ${style.fontFamily}`, character)) missing.push(code);
  }
  return { missing, present };
}
