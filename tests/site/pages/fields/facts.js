// What a page or a worker can know of the caller's wishes.
self.facts = () => ({
  agent: navigator.userAgent,
  languages: navigator.languages.join(),
  zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  locale: Intl.NumberFormat().resolvedOptions().locale,
  platform: navigator.userAgentData?.platform,
  mobile: navigator.userAgentData?.mobile,
});
self.seen = () => ({
  ...facts(),
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  still: matchMedia("(prefers-reduced-motion: reduce)").matches,
  forced: matchMedia("(forced-colors: active)").matches,
  contrast: matchMedia("(prefers-contrast: more)").matches,
  print: matchMedia("print").matches,
  touch: navigator.maxTouchPoints > 0,
  ratio: devicePixelRatio,
  width: screen.width,
  height: screen.height,
});
