// Sets what a worker's navigator says. `userAgent` null or no `languages`: the browser's own.
(userAgent, languages, hints) => {
  const define = (prototype, values) => {
    for (const [name, value] of Object.entries(values)) {
      Object.defineProperty(prototype, name, { get: () => value, configurable: true, enumerable: true });
    }
  };
  if (languages.length) {
    define(WorkerNavigator.prototype, { language: languages[0], languages: Object.freeze(languages) });
  }
  if (userAgent === null) return;
  define(WorkerNavigator.prototype, { userAgent, appVersion: userAgent.replace(/^Mozilla\//, "") });
  if (!self.NavigatorUAData) return;
  const low = { brands: hints.brands, mobile: hints.mobile, platform: hints.platform };
  define(NavigatorUAData.prototype, low);
  NavigatorUAData.prototype.toJSON = () => low;
  NavigatorUAData.prototype.getHighEntropyValues = async (asked) => {
    const known = { ...hints, uaFullVersion: hints.fullVersion };
    return { ...low, ...Object.fromEntries(asked.filter((name) => name in known).map((name) => [name, known[name]])) };
  };
}
