(() => {
  const {instances, api, texts} = JSON.parse(document.getElementById("data").textContent);
  const KEY = "openim-direct-token";
  const SIGN_BATCH = 20;
  const READ = 4 << 20;
  const TRIES = 3;
  const IMAGE = /\.(avif|bmp|gif|heic|heif|jpe?g|png|webp)$/i;
  // Browsers set these themselves, and scripts must not.
  const OWN_HEADERS = /^(host|content-length|connection|origin|referer)$/i;
  const id = (name) => document.getElementById(name);
  const steps = id("steps").tBodies[0];
  const labels = [...id("steps").tHead.rows[0].cells].map((cell) => cell.textContent);

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, key) => key in values ? String(values[key]) : whole);
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  /** What is shown to the user: what went wrong, the server's words, and what to do. */
  class Failure extends Error {
    constructor(step, message, detail = "", hint = "") {
      super(message);
      Object.assign(this, {step, detail, hint});
    }
  }

  function sizeText(size) {
    for (const unit of ["B", "KiB", "MiB", "GiB"]) {
      if (size < 1024) return `${unit === "B" ? size : size.toFixed(1)} ${unit}`;
      size /= 1024;
    }
    return `${size.toFixed(1)} TiB`;
  }

  function randomId() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** The UserID in a token; its signature is the server's business. */
  function userOf(token) {
    try {
      const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
      const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
      const user = JSON.parse(new TextDecoder().decode(bytes)).UserID;
      if (typeof user === "string" && user) return user;
    } catch {
      // Said below.
    }
    throw new Failure("token", texts.bad_token, "", texts.hint_token);
  }

  function row(step, label, {status = "", code = null, instance = "", node = "", pin = "", ms, failed = false, part = 0, where = ""}) {
    const element = steps.insertRow();
    Object.assign(element.dataset, {step, instance, node, pin, status: String(status), code: code === null ? "" : String(code)});
    if (part) element.dataset.part = String(part);
    element.classList.toggle("failed", failed);
    const shown = [label, code === null ? String(status) : `${status} / ${code}`, instance, node, pin, ms.toFixed(ms < 10 ? 1 : 0)];
    shown.forEach((text, i) => {
      const cell = document.createElement(i === 0 ? "th" : "td");
      if (i === 0) cell.scope = "row";
      cell.textContent = text;
      cell.dataset.label = labels[i];
      cell.className = ["", "status", "text", "text", "text", "number"][i];
      element.append(cell);
    });
    if (where) {
      const small = document.createElement("small");
      small.textContent = where;
      element.cells[0].append(document.createElement("br"), small);
    }
    id("table").hidden = false;
  }

  function doing(text, part) {
    id("doing").textContent = text;
    id("progress").value = part;
  }

  class Upload {
    constructor(file, token, prefix, operation) {
      Object.assign(this, {file, token, operation});
      this.name = `${userOf(token)}/${prefix}${file.name}`;
      this.contentType = file.type || "application/octet-stream";
      this.node = "";
    }

    /** POST to a route; the answer's data. */
    async call(route, body) {
      const begun = performance.now();
      let answer;
      let text;
      try {
        answer = await fetch(`${api}/object/${route}`, {
          method: "POST",
          headers: {"Content-Type": "application/json", token: this.token, operationID: this.operation},
          body: JSON.stringify(body),
          credentials: "same-origin",
          cache: "no-store",
        });
        text = await answer.text();
      } catch (error) {
        row(route, route, {status: texts.no_answer, ms: performance.now() - begun, failed: true});
        throw new Failure(route, texts.no_answer, String(error.message), texts.hint_network);
      }
      const ms = performance.now() - begun;
      const first = answer.headers.get("X-OpenIM-Direct-Instance") || "";
      const pin = answer.headers.get("X-OpenIM-Direct-Pin") || "";
      // Another instance may have answered in its place: that one's node did the work.
      const owner = answer.headers.get("X-OpenIM-Direct-Forwarded-To") || first;
      const instance = owner === first ? first : `${first} → ${owner}`;
      const seen = {status: answer.status, instance, node: instances[owner] || "", pin, ms};
      let envelope = null;
      try {
        envelope = JSON.parse(text);
      } catch {
        // Said below.
      }
      if (envelope === null || typeof envelope.errCode !== "number") {
        row(route, route, {...seen, failed: true});
        const message = fill(texts.no_envelope, {status: answer.status, text: text.slice(0, 200)});
        throw new Failure(route, message, "", answer.status === 413 ? texts.hint_413 : texts.hint_proxy);
      }
      row(route, route, {...seen, code: envelope.errCode, failed: envelope.errCode !== 0});
      if (envelope.errCode !== 0) {
        const message = `${envelope.errCode} ${envelope.errMsg || ""}`;
        throw new Failure(route, message, envelope.errDlt || "", texts[`hint_${envelope.errCode}`] || texts.hint_500);
      }
      return {data: envelope.data || {}, node: seen.node};
    }

    async hashes(partSize) {
      const begun = performance.now();
      const parts = Math.ceil(this.file.size / partSize);
      const found = [];
      for (let n = 1; n <= parts; n++) {
        const end = Math.min(n * partSize, this.file.size);
        const md5 = new Md5();
        for (let from = (n - 1) * partSize; from < end; from += READ) {
          doing(fill(texts.hashing, {n, parts}), from / this.file.size * 0.2);
          try {
            md5.update(new Uint8Array(await this.file.slice(from, Math.min(from + READ, end)).arrayBuffer()));
          } catch (error) {
            throw new Failure("md5", fill(texts.unreadable, {why: error.message}));
          }
        }
        found.push(md5.hex());
      }
      row("md5", fill(texts.hash_step, {parts}), {ms: performance.now() - begun});
      return found;
    }

    /** One part to its signed URL: the part's own, or the one of all, with both lists of query and header pairs. */
    async put(n, parts, partSize, part, sign) {
      const from = (n - 1) * partSize;
      const body = this.file.slice(from, Math.min(from + partSize, this.file.size));
      const url = new URL(part.url || sign.url, location.href);
      for (const {key, values} of [...(sign.query || []), ...(part.query || [])]) {
        for (const value of values) url.searchParams.append(key, value);
      }
      const headers = [...(sign.header || []), ...(part.header || [])];
      const where = url.origin + url.pathname.split("/").slice(0, 3).join("/");
      const label = fill(texts.put_step, {n});
      for (let tried = 1; ; tried++) {
        const begun = performance.now();
        const {status, text} = await this.send(url.href, headers, body, (sent) => {
          doing(fill(texts.putting, {n, parts}), 0.2 + (from + sent) / this.file.size * 0.78);
        });
        const ms = performance.now() - begun;
        row("put", label, {status: status || texts.no_answer, node: this.node, ms, failed: status !== 200, part: n, where});
        if (status === 200) return;
        if (tried < TRIES && (status === 0 || status >= 500)) {
          await pause(500 * tried);
          continue;
        }
        const hint = status === 403 ? texts.hint_403 : status === 413 ? texts.hint_413 : fill(texts.hint_put, {where: url.origin});
        throw new Failure(label, status ? `HTTP ${status}` : texts.no_answer, text.slice(0, 300), hint);
      }
    }

    /** XMLHttpRequest, since fetch tells no progress. Status 0: no answer. */
    send(url, headers, body, progress) {
      return new Promise((done) => {
        const request = new XMLHttpRequest();
        request.open("PUT", url);
        for (const {key, values} of headers) {
          if (!OWN_HEADERS.test(key)) request.setRequestHeader(key, values.join(","));
        }
        request.upload.onprogress = (event) => progress(event.loaded);
        request.onload = () => done({status: request.status, text: request.responseText});
        request.onerror = request.onabort = request.ontimeout = () => done({status: 0, text: ""});
        request.send(body);
      });
    }

    async run() {
      const begun = performance.now();
      const size = this.file.size;
      doing("", 0);
      const {data: {size: partSize}} = await this.call("part_size", {size});
      const hashes = await this.hashes(partSize);
      const first = await this.call("initiate_multipart_upload", {
        hash: new Md5().update(new TextEncoder().encode(hashes.join(","))).hex(),
        size,
        partSize,
        maxParts: Math.min(SIGN_BATCH, hashes.length),
        cause: "",
        name: this.name,
        contentType: this.contentType,
      });
      const upload = first.data.upload;
      if (!upload) {
        return {url: first.data.url, text: fill(texts.dedupe, {ms: Math.round(performance.now() - begun)}), dedupe: true};
      }
      this.node = first.node;
      let sign = upload.sign || {};
      const signed = new Map();
      const take = (given) => {
        sign = given;
        for (const part of given.parts || []) signed.set(part.partNumber, part);
      };
      take(sign);
      for (let n = 1; n <= hashes.length; n++) {
        if (!signed.has(n)) {
          const partNumbers = [];
          for (let i = n; i <= hashes.length && i < n + SIGN_BATCH; i++) partNumbers.push(i);
          take((await this.call("auth_sign", {uploadID: upload.uploadID, partNumbers})).data);
        }
        if (!signed.has(n)) throw new Failure("auth_sign", texts.hint_proxy);
        await this.put(n, hashes.length, partSize, signed.get(n), sign);
      }
      doing(texts.completing, 0.99);
      const {data: {url}} = await this.call("complete_multipart_upload", {
        uploadID: upload.uploadID, parts: hashes, name: this.name, contentType: this.contentType, cause: "",
      });
      return {url, text: fill(texts.done, {size: sizeText(size), ms: Math.round(performance.now() - begun)}), dedupe: false};
    }
  }

  /** Shows a picture; what the server says where it cannot be shown. */
  function show(step, url) {
    const begun = performance.now();
    const image = id(step);
    return new Promise((done) => {
      image.onload = () => {
        id(`${step}_box`).hidden = false;
        row(step, step, {status: `${image.naturalWidth} × ${image.naturalHeight}`, ms: performance.now() - begun});
        done();
      };
      image.onerror = async () => {
        let status = texts.no_answer;
        let text = "";
        try {
          const answer = await fetch(url, {cache: "no-store"});
          status = answer.status;
          if (!answer.ok) text = (await answer.text()).slice(0, 300);
        } catch (error) {
          text = error.message;
        }
        row(step, step, {status, ms: performance.now() - begun, failed: true});
        fail(new Failure(step, texts.no_picture, text, /\b90007\b/.test(text) ? texts.hint_90007 : ""));
        done();
      };
      image.src = url;
    });
  }

  function lines(box, ...shown) {
    box.replaceChildren(...shown.filter((text) => text).map((text) => {
      const line = document.createElement("p");
      line.append(text);
      return line;
    }));
    box.hidden = false;
  }

  function fail(error) {
    const known = error instanceof Failure;
    const title = document.createElement("strong");
    title.textContent = known ? fill(texts.failed, {step: error.step}) : String(error);
    lines(id("error"), title, known && error.message, known && error.detail, known && error.hint);
  }

  async function start() {
    for (const name of ["error", "result", "table", "picture_box", "thumbnail_box"]) id(name).hidden = true;
    for (const name of ["picture", "thumbnail"]) {
      id(name).onload = id(name).onerror = null;
      id(name).removeAttribute("src");
    }
    steps.replaceChildren();
    delete id("result").dataset.dedupe;
    const token = id("token").value.trim();
    const file = id("file").files[0];
    try {
      if (!token) throw new Failure("token", texts.no_token, "", texts.hint_token);
      if (!file) throw new Failure("file", texts.no_file);
      if (!file.size) throw new Failure("file", texts.empty_file);
      const operation = randomId();
      const upload = new Upload(file, token, id("prefix").value, operation);
      try {
        sessionStorage.setItem(KEY, token);
      } catch {
        // Storage is switched off.
      }
      id("operation").textContent = operation;
      id("object").textContent = fill(texts.name, {name: upload.name});
      id("running").hidden = false;
      const {url, text, dedupe} = await upload.run();
      doing(text, 1);
      const link = document.createElement("a");
      link.textContent = link.href = url;
      link.rel = "noreferrer";
      link.target = "_blank";
      id("result").dataset.dedupe = dedupe ? "yes" : "no";
      lines(id("result"), text, link);
      if (upload.contentType.startsWith("image/") || IMAGE.test(upload.name)) {
        await show("picture", url);
        await show("thumbnail", `${url}${url.includes("?") ? "&" : "?"}type=image&width=200&height=200`);
      }
    } catch (error) {
      fail(error);
      id("doing").textContent = id("error").firstChild.textContent;
    }
  }

  try {
    id("token").value = sessionStorage.getItem(KEY) || "";
  } catch {
    // Storage is switched off.
  }
  id("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    id("start").disabled = true;
    await start();
    id("start").disabled = false;
  });
})();
