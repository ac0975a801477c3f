// What a page of a web client asks of the object API, and what it sees: a name for each request, and a short text of its outcome.
// A request that the browser refuses or hides is "TypeError" (fetch), "error" (elements, XMLHttpRequest).

"use strict";

/**
 * @param {object} c what the test made: `api` (address of the object API), `token`, `seed` (makes this page's uploads its own),
 *   `hashes` of what is uploaded, `etag` of the text, `headers` a long list of header names.
 */
function requests(c) {
  const OWN = {token: c.token, operationID: "page"};
  const TRACING = {traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01`, tracestate: "a=b", "sentry-trace": "1-2-1", baggage: "a=b"};
  const include = {credentials: "include"};
  const view = name => `${c.api}/object/u1/page/${name}`;

  const post = async (route, {headers = {}, body = "{}", ...more} = {}) => {
    const answer = await fetch(`${c.api}/object/${route}`, {method: "POST", headers: {...OWN, ...headers}, body, ...more});
    return answer;
  };
  const asked = (url, more) => fetch(url, {cache: "no-store", ...more});
  const code = async answer => {
    const text = await answer.text();
    try {
      const envelope = JSON.parse(text);
      return `${answer.status} ${envelope.errCode}${envelope.errCode && !envelope.errDlt ? " without a cause" : ""}`;
    } catch {
      return `${answer.status} ${/<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? text}`;
    }
  };
  const api = async (route, body) => {
    const envelope = await (await post(route, {body: JSON.stringify(body)})).json();
    if (envelope.errCode !== 0) throw new Error(JSON.stringify(envelope));
    return envelope.data;
  };
  // From the network, unless the request says otherwise: it is what the servers say that counts.
  const text = async (url, more) => {
    const answer = await asked(url, more);
    return `${answer.status} ${(await answer.text()).slice(0, 12)}`;
  };
  const shown = async (url, more, ...names) => {
    const answer = await asked(url, more);
    await answer.arrayBuffer();
    return [answer.status, ...names.map(name => answer.headers.get(name))].join(" ");
  };

  // Elements.
  const element = (tag, ready, url, attributes = {}) =>
    new Promise(resolve => {
      const made = Object.assign(document.createElement(tag), {muted: true, preload: "auto"});
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      made.addEventListener(ready, () => resolve(made), {once: true});
      made.addEventListener("error", () => resolve(null), {once: true});
      made.src = url;
    });
  const image = async (url, attributes) => {
    const made = await element("img", "load", url, attributes);
    return made ? `${made.naturalWidth}x${made.naturalHeight}` : "error";
  };
  const drawn = async (url, attributes) => {
    const made = await element("img", "load", url, attributes);
    if (!made) return "error";
    const canvas = Object.assign(document.createElement("canvas"), {width: 2, height: 2}).getContext("2d");
    canvas.drawImage(made, 0, 0);
    return canvas.getImageData(0, 0, 1, 1).data.length === 4 ? "read back" : "no pixel";
  };
  // To its end, which is asked for by a range of its own.
  const sound = async (tag, attributes) => {
    const made = await element(tag, "loadedmetadata", view("sound.wav"), attributes);
    if (!made) return "error";
    await new Promise(resolve => {
      made.addEventListener("seeked", resolve, {once: true});
      made.addEventListener("error", resolve, {once: true});
      made.currentTime = made.duration - 1;
    });
    return made.error ? "error" : `${Math.round(made.duration)} s`;
  };

  // Uploads.
  const content = size => new Blob([c.seed.repeat(size / c.seed.length)]);
  const names = {small: `u1/page/small-${c.seed}`, large: `u1/page/large-${c.seed}`, form: `u1/page/form-${c.seed}`};
  const initiate = kind =>
    api("initiate_multipart_upload", {
      ...{hash: c.hashes[kind].whole, size: c.sizes[kind], partSize: c.part, maxParts: -1, cause: "", name: names[kind]},
      contentType: "text/plain",
    });
  const complete = async (kind, begun) => {
    const {uploadID} = begun.upload;
    const done = await api("complete_multipart_upload", {uploadID, parts: c.hashes[kind].parts, name: names[kind], cause: ""});
    const read = await (await fetch(done.url)).arrayBuffer();
    return read.byteLength === c.sizes[kind] ? "uploaded" : `${read.byteLength} bytes`;
  };
  const partOf = (kind, number) => content(c.sizes[kind]).slice((number - 1) * c.part, number * c.part);
  const headersOf = part => Object.fromEntries((part.header ?? []).map(h => [h.key, h.values[0]]));
  const put = (part, body, {abort = false, headers = {}, withCredentials = false} = {}) =>
    new Promise(resolve => {
      const request = new XMLHttpRequest();
      let progress = 0;
      request.open("PUT", part.url);
      request.withCredentials = withCredentials;
      for (const [name, value] of Object.entries({...headersOf(part), ...headers})) request.setRequestHeader(name, value);
      request.upload.onprogress = event => (progress = Math.max(progress, event.loaded));
      request.onabort = () => resolve("aborted");
      request.onerror = () => resolve("error");
      request.onload = () => {
        const etag = /^"[0-9a-f]{32}"$/.test(request.getResponseHeader("ETag")) ? "ETag" : "no ETag";
        resolve(`${request.status} ${progress === body.size ? "progress" : "no progress"} ${etag}`);
      };
      request.send(body);
      if (abort) setTimeout(() => request.abort(), 0);
    });

  // A page that a service worker controls, one that takes in only what allows it, and one without an origin.
  const framed = async (path, attributes = {}) => {
    const frame = document.createElement("iframe");
    for (const [name, value] of Object.entries(attributes)) frame.setAttribute(name, value);
    const told = new Promise(resolve => {
      addEventListener("message", event => event.source === frame.contentWindow && resolve(event.data));
    });
    frame.src = path;
    document.body.append(frame);
    await new Promise(resolve => frame.addEventListener("load", resolve, {once: true}));
    frame.contentWindow.postMessage({text: view("text"), picture: view("picture.png")}, "*");
    const outcome = await told;
    frame.remove();
    return outcome;
  };

  return {
    live: {
      // The object API.
      "POST, JSON as text/plain": async () => code(await post("part_limit")),
      "POST, JSON": async () => code(await post("part_limit", {headers: {"Content-Type": "application/json"}})),
      "POST again": async () => code(await post("part_limit")),
      "POST, credentials": async () => code(await post("part_limit", include)),
      "POST, Authorization": async () => code(await post("part_limit", {headers: {Authorization: "Bearer x"}})),
      "POST, X-Requested-With": async () => code(await post("part_limit", {headers: {"X-Requested-With": "XMLHttpRequest"}})),
      "POST, tracing headers": async () => code(await post("part_limit", {headers: TRACING})),
      "POST, credentials and all of these": async () =>
        code(await post("part_limit", {...include, headers: {...TRACING, Authorization: "Bearer x", "X-Requested-With": "x"}})),
      "POST, 60 headers": async () =>
        code(await post("part_limit", {headers: Object.fromEntries(c.headers.map(name => [name, "x"]))})),
      "POST, keepalive": async () => code(await post("part_limit", {keepalive: true})),
      "POST, without headers": async () => code(await fetch(`${c.api}/object/part_limit`, {method: "POST", body: "{}"})),
      "POST, bad JSON": async () => code(await post("part_limit", {body: "{"})),
      "POST, unknown route": async () => code(await post("nothing")),
      "POST, bad token": async () => code(await post("part_limit", {headers: {token: "x"}})),
      "POST, by an instance's path": async () => code(await post("../i/i2/object/part_limit")),
      "POST, an instance that is none": async () => code(await post("../i/nobody/object/part_limit")),
      "POST, from a worker": async () => {
        const script = `fetch(${JSON.stringify(`${c.api}/object/part_limit`)}, {method: "POST", headers: ${JSON.stringify(OWN)}, body: "{}"})
          .then(a => a.json()).then(e => postMessage("" + e.errCode), e => postMessage(e.name))`;
        const worker = new Worker(URL.createObjectURL(new Blob([script])));
        return new Promise(resolve => (worker.onmessage = event => resolve(event.data)));
      },
      "DELETE": async () => text(`${c.api}/object/part_limit`, {method: "DELETE", headers: OWN}),

      // Uploads.
      "upload, small, fetch": async () => {
        const begun = await initiate("small");
        const [part] = begun.upload.sign.parts;
        const answer = await fetch(part.url, {method: "PUT", body: content(c.sizes.small), headers: headersOf(part)});
        return `${answer.status} ${await complete("small", begun)}`;
      },
      "upload, large, XMLHttpRequest": async () => {
        const begun = await initiate("large");
        const [first, second] = begun.upload.sign.parts;
        const extra = {"Content-Type": "text/plain", "X-Requested-With": "XMLHttpRequest", ...TRACING};
        const outcomes = [
          await put(first, partOf("large", 1), {abort: true}),
          await put(first, partOf("large", 1), {headers: extra}),
          await put(second, partOf("large", 2), {withCredentials: true, headers: {Authorization: "Bearer x"}}),
        ];
        return [...outcomes, await complete("large", begun)].join(", ");
      },
      "upload, form": async () => {
        const file = content(c.sizes.form);
        const begun = await api("initiate_form_data", {name: names.form, size: file.size, contentType: "text/plain", millisecond: 0});
        const form = new FormData();
        for (const [name, value] of Object.entries(begun.formData)) form.append(name, value);
        form.append(begun.file, file);
        const headers = Object.fromEntries((begun.header ?? []).map(h => [h.key, h.values[0]]));
        const answer = await fetch(begun.url, {method: "POST", body: form, headers});
        const done = await api("complete_form_data", {id: begun.id});
        return `${answer.status} ${(await (await fetch(done.url)).text()).length}`;
      },
      "PUT, a signature that is wrong": async () =>
        (await text(`${c.s3}?X-Amz-Signature=x`, {method: "PUT", body: "x", headers: {"X-Requested-With": "x"}})).slice(0, 3),

      // Views.
      "view": () => text(view("text")),
      "view, headers": () => shown(view("text"), {}, "ETag", "Content-Length", "Content-Type", "Content-Disposition", "Accept-Ranges"),
      "view, credentials": () => text(view("text"), include),
      "view, credentials, another host": () => text(view("text-2"), include),
      "view, another host": () => text(view("text-2")),
      "view, another host, Range of the end": () => shown(view("text-2"), {headers: {Range: "bytes=-50"}}, "Content-Range"),
      "view, Range": () => shown(view("text"), {headers: {Range: "bytes=0-9"}}, "Content-Range"),
      "view, Range of the end": () => shown(view("text"), {headers: {Range: "bytes=-50"}}, "Content-Range"),
      "view, Range of the end, credentials": () => shown(view("text"), {...include, headers: {Range: "bytes=-50"}}, "Content-Range"),
      "view, If-None-Match": () => shown(view("text"), {headers: {"If-None-Match": c.etag}}, "ETag"),
      "view, If-None-Match, credentials": () => shown(view("text"), {...include, headers: {"If-None-Match": c.etag}}, "ETag"),
      "view, If-Modified-Since": () => shown(view("text"), {headers: {"If-Modified-Since": "Wed, 21 Oct 2099 07:28:00 GMT"}}),
      "view, Authorization": () => text(view("text"), {headers: {Authorization: "Bearer x"}}),
      "view, Authorization, basic": () => text(view("text"), {headers: {Authorization: "Basic eDp4"}}),
      "view, Authorization, another host": () => text(view("text-2"), {headers: {Authorization: "Bearer x"}}),
      "view, X-Requested-With": () => text(view("text"), {headers: {"X-Requested-With": "XMLHttpRequest"}}),
      "view, tracing headers": () => text(view("text"), {headers: TRACING}),
      "view, tracing headers, another host": () => text(view("text-2"), {headers: TRACING}),
      "view, all of these, credentials": () => text(view("text"), {...include, headers: {...TRACING, Authorization: "Bearer x"}}),
      "view, token": () => text(view("text"), {headers: OWN}),
      ...Object.fromEntries(
        ["default", "reload", "no-store", "no-cache", "force-cache"].map(cache => [`view, cache ${cache}`, () => text(view("text"), {cache})]),
      ),
      "view, only-if-cached": () => text(view("text"), {cache: "only-if-cached", mode: "same-origin"}),
      "view, mode no-cors": async () => (await fetch(view("text"), {mode: "no-cors"})).type.replace("basic", "opaque"),
      "view, redirect manual": async () => (await fetch(view("text"), {redirect: "manual"})).type,
      "view, redirect error": () => text(view("text"), {redirect: "error"}),
      "view, HEAD": () => shown(view("text"), {method: "HEAD"}, "Content-Length"),
      "view, HEAD, credentials": () => shown(view("text"), {...include, method: "HEAD"}, "Content-Length"),
      "view, no such name": async () => (await asked(view("none"))).status,
      "view, no such name, credentials": async () => (await asked(view("none"), include)).status,
      "view, by an instance's path": () => text(`${c.api}/i/i2/object/u1/page/text`, {headers: TRACING}),
      "view, XMLHttpRequest, credentials": () =>
        new Promise(resolve => {
          const request = Object.assign(new XMLHttpRequest(), {responseType: "blob", withCredentials: true});
          request.onerror = () => resolve("error");
          request.onload = () => resolve(`${request.status} ${request.response.size}`);
          request.open("GET", view("text"));
          request.send();
        }),
      "view, aborted and repeated": async () => {
        const stop = new AbortController();
        const aborted = fetch(view("sound.wav"), {signal: stop.signal, cache: "no-store"}).then(a => a.blob()).catch(e => e.name);
        stop.abort();
        return `${await aborted}, ${(await (await fetch(view("sound.wav"), {cache: "no-store"})).blob()).size}`;
      },

      // Pictures and sound.
      "img": () => image(view("picture.png")),
      "img, thumbnail": () => image(`${view("picture.png")}?type=image&width=100&height=100`),
      "img, anonymous, canvas": () => drawn(view("picture.png"), {crossorigin: "anonymous"}),
      "img, use-credentials, canvas": () => drawn(view("picture.png"), {crossorigin: "use-credentials"}),
      "img, anonymous after credentials": () => drawn(view("picture.png"), {crossorigin: "anonymous"}),
      "img, another host": () => image(view("picture-2.png")),
      "img, another host, anonymous, canvas": () => drawn(view("picture-2.png"), {crossorigin: "anonymous"}),
      "img, another host, use-credentials, canvas": () => drawn(view("picture-2.png"), {crossorigin: "use-credentials"}),
      "thumbnail, use-credentials, canvas": () =>
        drawn(`${view("picture.png")}?type=image&width=100&height=100`, {crossorigin: "use-credentials"}),
      "fetch of a thumbnail": () => shown(`${view("picture.png")}?type=image&width=100&height=100`, {}, "Content-Type"),
      "audio": () => sound("audio"),
      "video": () => sound("video"),
      "audio, anonymous": () => sound("audio", {crossorigin: "anonymous"}),
      "video, use-credentials": () => sound("video", {crossorigin: "use-credentials"}),

      // Other pages.
      "service worker: fetch, img": async () => {
        const registration = await navigator.serviceWorker.register("/page/worker.js", {scope: "/page/controlled"});
        const worker = registration.installing ?? registration.waiting ?? registration.active;
        while (worker.state !== "activated") await new Promise(resolve => worker.addEventListener("statechange", resolve, {once: true}));
        const outcome = await framed("/page/controlled");
        await registration.unregister();
        return outcome;
      },
      "page that takes in only what allows it: fetch, img": () => framed("/page/isolated"),
      "page without an origin: fetch, img": () => framed("/page/frame", {sandbox: "allow-scripts"}),
    },

    // While the node of `text-2` and `picture-2.png` is down.
    dead: {
      "view": async () => code(await asked(view("text-2"))),
      "view, tracing headers": async () => code(await asked(view("text-2"), {headers: TRACING})),
      "view, credentials": async () => code(await asked(view("text-2"), include)),
      "img": () => image(view("picture-2.png")),
      "signed URL": async () => code(await asked(c.dead.get)),
      "signed URL, Range of the end": async () => code(await asked(c.dead.get, {headers: {Range: "bytes=-50"}})),
      "signed URL, credentials": async () => code(await asked(c.dead.get, include)),
      "signed URL, HEAD": async () => (await asked(c.dead.get, {method: "HEAD"})).status,
      "PUT": async () => code(await asked(c.dead.put, {method: "PUT", body: "x", headers: TRACING})),
      "PUT, 5 MiB, XMLHttpRequest": async () => (await put({url: c.dead.put}, content(c.part))).slice(0, 3),
    },

    // While no instance answers.
    alone: {
      "POST": async () => code(await post("part_limit")),
      "POST, credentials": async () => code(await post("part_limit", include)),
      "view": async () => (await asked(view("text-3"), {headers: TRACING})).status,
    },
  };
}

/** Outcomes by name: of what is live one after the other, since one may leave something for the next; else at once. */
async function run(c, list) {
  const outcomes = {};
  const tell = async ([name, ask]) => {
    const late = new Promise(resolve => setTimeout(() => resolve("nothing within 20 s"), 20000));
    outcomes[name] = String(await Promise.race([ask().catch(e => (e.message.startsWith("{") ? e.message : e.name)), late]));
  };
  const all = Object.entries(requests(c)[list]);
  if (list !== "live") await Promise.all(all.map(tell));
  else for (const entry of all) await tell(entry);
  return outcomes;
}
