// Resolves true once the selector is in the wanted state: attached, detached, visible or hidden.
// Throws for a selector that is not one.
(selector, state) => {
  const isVisible = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility !== "hidden";
  };
  const reached = () => {
    const found = [...document.querySelectorAll(selector)];
    switch (state) {
      case "attached": return found.length > 0;
      case "detached": return found.length === 0;
      case "hidden": return !found.some(isVisible);
      default: return found.some(isVisible);
    }
  };
  return new Promise((resolve, reject) => {
    const look = () => {
      try {
        if (reached()) resolve(true);
        else requestAnimationFrame(look);
      } catch (error) {
        reject(error);
      }
    };
    look();
  });
}
