// Every way that we know for a page to make its browser ask an address for something: one function each, whose name is
// the last part of the path that it asks for. `$target` is an origin. Run by `probes.html`.

const markup = (html) => document.body.insertAdjacentHTML("beforeend", html);
const style = (css) => document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
const link = (attributes) => document.head.append(Object.assign(document.createElement("link"), attributes));
const frame = (attributes) => {
  const element = Object.assign(document.createElement("iframe"), attributes);
  document.body.append(element);
  return element;
};
const script = (attributes) => document.head.append(Object.assign(document.createElement("script"), attributes));
const blobUrl = (text, type) => URL.createObjectURL(new Blob([text], { type }));
const js = (text) => blobUrl(text, "text/javascript");
const boxed = (css) => markup(`<div style='width:9px;height:9px;${css}'></div>`);
const own = (kind, url) => `/own/${kind}?url=${encodeURIComponent(url)}`;
const click = (html) => {
  markup(html);
  document.body.lastElementChild.click();
};
const ignore = (promise) => promise.catch(() => {});

export const probes = {
  img: (u) => (new Image().src = u),
  img_srcset: (u) => markup(`<img srcset="${u} 1x, ${u} 2x">`),
  img_lazy: (u) => markup(`<img loading=lazy src="${u}" style="position:fixed;top:0;width:9px;height:9px">`),
  picture: (u) => markup(`<picture><source srcset="${u}"><img></picture>`),
  input_image: (u) => markup(`<input type=image src="${u}">`),
  body_background: (u) => (document.body.background = u),
  svg_image: (u) => markup(`<svg><image href="${u}" width=9 height=9 /></svg>`),
  svg_fe_image: (u) =>
    markup(`<svg width=9 height=9><filter id=fe><feImage href="${u}"/></filter><rect width=9 height=9 filter="url(#fe)"/></svg>`),
  svg_use: (u) => markup(`<svg><use href="${u}#a"/></svg>`),
  svg_file_image: (u) =>
    (new Image().src = blobUrl(`<svg xmlns="http://www.w3.org/2000/svg"><image href="${u}" width="9" height="9"/></svg>`, "image/svg+xml")),
  css_background: (u) => boxed(`background:url(${u})`),
  css_image_set: (u) => boxed(`background:image-set(url(${u}) 1x)`),
  css_border_image: (u) => boxed(`border:3px solid;border-image:url(${u}) 1`),
  css_list_style: (u) => markup(`<ul style="list-style-image:url(${u})"><li>x</ul>`),
  css_cursor: (u) => boxed(`cursor:url(${u}),auto`),
  css_content: (u) => boxed(`content:url(${u})`),
  css_mask: (u) => boxed(`mask-image:url(${u})`),
  css_shape: (u) => boxed(`float:left;shape-outside:url(${u})`),
  css_clip_path: (u) => boxed(`clip-path:url(${u}#a)`),
  css_filter: (u) => boxed(`filter:url(${u}#a)`),
  css_import: (u) => style(`@import url(${u});`),
  css_font: (u) => {
    style(`@font-face{font-family:probe;src:url(${u})}`);
    markup("<p style='font-family:probe'>x</p>");
  },
  css_variable: (u) => boxed(`--image:url(${u});background:var(--image)`),
  font_face: (u) => ignore(new FontFace("probe2", `url(${u})`).load()),
  link_stylesheet: (u) => link({ rel: "stylesheet", href: u }),
  link_stylesheet_print: (u) => link({ rel: "stylesheet", media: "print", href: u }),
  link_icon: (u) => link({ rel: "icon", href: u }),
  link_apple_icon: (u) => link({ rel: "apple-touch-icon", href: u }),
  link_manifest: (u) => link({ rel: "manifest", href: u }),
  link_search: (u) => link({ rel: "search", type: "application/opensearchdescription+xml", href: u }),
  link_prefetch: (u) => link({ rel: "prefetch", href: u }),
  link_preload_image: (u) => link({ rel: "preload", as: "image", href: u }),
  link_preload_font: (u) => link({ rel: "preload", as: "font", crossOrigin: "", href: u }),
  link_preload_fetch: (u) => link({ rel: "preload", as: "fetch", crossOrigin: "", href: u }),
  link_modulepreload: (u) => link({ rel: "modulepreload", href: u }),
  link_preconnect: (u) => link({ rel: "preconnect", href: u }),
  link_dns_prefetch: (u) => link({ rel: "dns-prefetch", href: u }),
  link_prerender: (u) => link({ rel: "prerender", href: u }),
  link_dictionary: (u) => link({ rel: "compression-dictionary", href: u }),
  link_header: (u) => frame({ src: own("link_header", u) }),
  early_hints: (u) => frame({ src: own("early_hints", u) }),
  speculation_prefetch: (u) =>
    script({ type: "speculationrules", textContent: JSON.stringify({ prefetch: [{ urls: [u], eagerness: "immediate" }] }) }),
  speculation_prerender: (u) =>
    script({ type: "speculationrules", textContent: JSON.stringify({ prerender: [{ urls: [u], eagerness: "immediate" }] }) }),
  speculation_header: (u) => frame({ src: own("speculation_header", u) }),
  webbundle: (u) =>
    script({ type: "webbundle", textContent: JSON.stringify({ source: u, resources: [u + "/inner"] }) }),
  script: (u) => script({ src: u }),
  script_module: (u) => script({ type: "module", src: u }),
  script_static_import: (u) => script({ type: "module", textContent: `import ${JSON.stringify(u)}` }),
  script_json_import: (u) => script({ type: "module", textContent: `import x from ${JSON.stringify(u)} with {type: "json"}` }),
  dynamic_import: (u) => ignore(import(u)),
  video: (u) => markup(`<video src="${u}" autoplay muted></video>`),
  video_source: (u) => markup(`<video autoplay muted><source src="${u}"></video>`),
  video_poster: (u) => markup(`<video poster="${u}"></video>`),
  audio: (u) => markup(`<audio src="${u}" preload=auto></audio>`),
  track: (u) =>
    markup(`<video crossorigin autoplay muted src="/own/movie"><track default kind=subtitles src="${u}"></video>`),
  object: (u) => markup(`<object data="${u}"></object>`),
  object_html: (u) => markup(`<object type="text/html" data="${u}"></object>`),
  embed: (u) => markup(`<embed src="${u}">`),
  applet: (u) => markup(`<applet codebase="${u}" code=x archive="${u}"></applet>`),
  frame: (u) => frame({ src: u }),
  frame_sandboxed: (u) => frame({ sandbox: "allow-scripts", src: u }),
  frame_srcdoc: (u) => frame({ srcdoc: `<img src="${u}">` }),
  frame_srcdoc_base: (u) => frame({ srcdoc: `<base href="${u}/"><img src="below">` }),
  frame_data: (u) => frame({ src: `data:text/html,<img src="${u}">` }),
  frame_blob: (u) => frame({ src: blobUrl(`<img src="${u}">`, "text/html") }),
  frame_javascript: (u) => frame({ src: `javascript:'<img src="${u}">'` }),
  frame_document_write: (u) => {
    const written = frame({}).contentDocument;
    written.write(`<img src="${u}">`);
    written.close();
  },
  frame_meta_refresh: (u) => frame({ srcdoc: `<meta http-equiv=refresh content="0;url=${u}">` }),
  frame_refresh_header: (u) => frame({ src: own("refresh", u) }),
  frame_location: (u) => frame({ src: own("location", u) }),
  frame_redirect: (u) => frame({ src: own("redirect", u) }),
  frame_frameset: (u) => frame({ srcdoc: `<frameset><frame src="${u}"></frameset>` }),
  frame_view_source: (u) => frame({ src: `view-source:${u}` }),
  frame_filesystem: (u) => frame({ src: `filesystem:${u}` }),
  fencedframe: (u) => {
    const element = document.createElement("fencedframe");
    document.body.append(element);
    element.config = new FencedFrameConfig(u);
  },
  form_post: (u) => {
    frame({ name: "form_post" });
    markup(`<form method=post action="${u}" target=form_post><input name=a value=b></form>`);
    document.body.lastElementChild.submit();
  },
  form_get: (u) => {
    frame({ name: "form_get" });
    markup(`<form action="${u}" target=form_get></form>`);
    document.body.lastElementChild.requestSubmit();
  },
  form_redirect_307: (u) => {
    frame({ name: "form_307" });
    markup(`<form method=post action="${own("redirect_307", u)}" target=form_307></form>`);
    document.body.lastElementChild.submit();
  },
  link_click: (u) => {
    frame({ name: "link_click" });
    click(`<a href="${u}" target=link_click>x</a>`);
  },
  link_ping: (u) => {
    frame({ name: "link_ping" });
    click(`<a href="/own/nothing" ping="${u}" target=link_ping>x</a>`);
  },
  link_download: (u) => {
    frame({ name: "link_download" });
    click(`<a href="${u}" download target=link_download>x</a>`);
  },
  link_popup: (u) => click(`<a href="${u}" target=_blank>x</a>`),
  link_popup_noopener: (u) => click(`<a href="${u}" target=_blank rel=noopener>x</a>`),
  window_open: (u) => window.open(u),
  window_open_location: (u) => (window.open("about:blank").location = u),
  area_click: (u) => {
    frame({ name: "area_click" });
    click(`<map name=m><area href="${u}" target=area_click></map>`);
    document.querySelector("area").click();
  },
  fetch: (u) => ignore(fetch(u)),
  fetch_no_cors: (u) => ignore(fetch(u, { mode: "no-cors" })),
  fetch_preflight: (u) => ignore(fetch(u, { method: "PUT", headers: { "X-A": "b" }, body: "{}" })),
  fetch_post: (u) => ignore(fetch(u, { method: "POST", mode: "no-cors", body: "x" })),
  fetch_keepalive: (u) => ignore(fetch(u, { keepalive: true, mode: "no-cors" })),
  fetch_later: (u) => fetchLater(u, { activateAfter: 0 }),
  fetch_redirect: (u) => ignore(fetch(own("redirect", u), { mode: "no-cors" })),
  fetch_redirect_307: (u) => ignore(fetch(own("redirect_307", u), { method: "POST", mode: "no-cors", body: "x" })),
  fetch_private: (u) => ignore(fetch(u, { mode: "no-cors", targetAddressSpace: "local" })),
  fetch_userinfo: (u) => ignore(fetch(new Request(u, { mode: "no-cors", referrerPolicy: "unsafe-url" }))),
  xhr: (u) => {
    const request = new XMLHttpRequest();
    request.open("GET", u);
    request.send();
  },
  xhr_sync: (u) => {
    const request = new XMLHttpRequest();
    request.open("POST", u, false);
    try {
      request.send("x");
    } catch {}
  },
  wasm: (u) => ignore(WebAssembly.compileStreaming(fetch(u))),
  event_source: (u) => new EventSource(u),
  websocket: (u) => new WebSocket(u.replace(/^http/, "ws")),
  websocket_frame: (u) => frame({ srcdoc: `<script>new WebSocket(${JSON.stringify(u.replace(/^http/, "ws"))})</script>` }),
  send_beacon: (u) => navigator.sendBeacon(u, "x"),
  beacon_at_unload: (u) => {
    const leaving = frame({ srcdoc: `<script>onpagehide = () => navigator.sendBeacon(${JSON.stringify(u)}, "x")</script>` });
    leaving.onload = () => leaving.remove();
  },
  worker_fetch: (u) => new Worker(js(`fetch(${JSON.stringify(u)}, {mode: "no-cors"})`)),
  worker_import_scripts: (u) => new Worker(js(`importScripts(${JSON.stringify(u)})`)),
  worker_module: (u) => new Worker(js(`import ${JSON.stringify(u)}`), { type: "module" }),
  worker_websocket: (u) => new Worker(js(`new WebSocket(${JSON.stringify(u.replace(/^http/, "ws"))})`)),
  worker_nested: (u) =>
    new Worker(js(`new Worker(URL.createObjectURL(new Blob(['fetch(${JSON.stringify(u)}, {mode: "no-cors"})'])))`)),
  worker_redirect: (u) => new Worker(own("redirect", u)),
  shared_worker_fetch: (u) => new SharedWorker(js(`fetch(${JSON.stringify(u)}, {mode: "no-cors"})`)),
  shared_worker_redirect: (u) => new SharedWorker(own("redirect", u)),
  csp_report: (u) => frame({ src: own("csp", u) }),
  csp_report_only: (u) => frame({ src: own("csp_report_only", u) }),
  reporting_endpoint: (u) => frame({ src: own("reporting", u) }),
  nel: (u) => frame({ src: own("nel", u) }),
  attribution_src: (u) => {
    const image = new Image();
    image.setAttribute("attributionsrc", u);
    image.src = "/own/nothing";
  },
  topics_img: (u) => {
    const image = new Image();
    image.browsingTopics = true;
    image.src = u;
  },
  media_session: (u) => (navigator.mediaSession.metadata = new MediaMetadata({ artwork: [{ src: u }] })),
  xslt: (u) =>
    frame({ src: blobUrl(`<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="${u}"?><a/>`, "text/xml") }),
  xml_css: (u) =>
    frame({ src: blobUrl(`<?xml version="1.0"?><?xml-stylesheet type="text/css" href="${u}"?><a/>`, "text/xml") }),
};

// What only a secure context has.
export const secureProbes = {
  service_worker_fetch: (u) => ignore(navigator.serviceWorker.register(own("service_worker", u), { scope: "/own/" })),
  service_worker_script: (u) =>
    ignore(navigator.serviceWorker.register(own("service_worker_imports", u), { scope: "/own/imports" })),
  cache_add: (u) => ignore(caches.open("x").then((cache) => cache.add(new Request(u, { mode: "no-cors" })))),
  audio_worklet: (u) => ignore(new OfflineAudioContext(1, 1, 44100).audioWorklet.addModule(u)),
  paint_worklet: (u) => ignore(CSS.paintWorklet.addModule(u)),
  shared_storage: (u) => ignore(sharedStorage.createWorklet(u, { dataOrigin: "script-origin" })),
  payment: (u) =>
    ignore(new PaymentRequest([{ supportedMethods: u }], { total: { label: "x", amount: { currency: "EUR", value: "1" } } }).canMakePayment()),
  federated_login: (u) =>
    ignore(navigator.credentials.get({ identity: { providers: [{ configURL: u, clientId: "x", nonce: "x" }] } })),
  protocol_handler: (u) => navigator.registerProtocolHandler("web+probe", own("nothing", "%s")),
  storage_access_frame: (u) => frame({ credentialless: true, src: u }),
  web_transport: (u) => ignore(new WebTransport(u).ready),
};

// A target that makes a probe throw in one browser (an interface that it lacks) must not stop the others.
export async function run(target) {
  const all = { ...probes, ...(isSecureContext ? secureProbes : {}) };
  const failed = [];
  for (const [name, probe] of Object.entries(all)) {
    try {
      probe(`${target}/probe/${name}`);
    } catch (error) {
      failed.push(name);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 1500));
  document.title = JSON.stringify({ tried: Object.keys(all).length, failed });
  markup("<div style='position:fixed;inset:0;z-index:2147483647;background:#00ff00'></div>");
}
