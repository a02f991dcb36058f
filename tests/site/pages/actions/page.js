const right = () => (document.body.style.background = "#00ff00");
const wrong = () => (document.body.style.background = "#ff0000");
const verdict = (isRight) => (isRight ? right() : wrong());
const it = () => document.getElementById("it");
