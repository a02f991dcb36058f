// Resolves when nothing is scrolled any more in three frames: wheels are answered by an animation.
async () => {
  const FRAMES_MAX = 120;
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const scrolled = () => {
    moved = true;
  };
  let moved = false;
  addEventListener("scroll", scrolled, { capture: true });
  for (let quiet = 0, count = 0; quiet < 3 && count < FRAMES_MAX; count++) {
    moved = false;
    await frame();
    quiet = moved ? 0 : quiet + 1;
  }
  removeEventListener("scroll", scrolled, { capture: true });
};
