importScripts("facts.js"); fetch("/hit/shared"); onconnect = (event) => event.ports[0].postMessage(facts());
