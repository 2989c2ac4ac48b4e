"use strict";
// Asks the browser for what the page shows, and tells the server of the answer. Nothing of
// this is trusted: the server checks what the security key signed.
const ask = JSON.parse(document.querySelector("main").dataset.ask);
const [act, yes, no, told] = ["act", "yes", "no", "told"].map((id) => document.getElementById(id));

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));

function tell(message, kind) {
  told.textContent = message;
  told.className = kind;
  told.hidden = false;
}

const credentials = ask.keys.map((id) => ({ type: "public-key", id: bytes(id) }));

async function made() {
  const c = await navigator.credentials.create({
    publicKey: {
      rp: { id: ask.host, name: "keyward" },
      user: { id: bytes(ask.handle), name: ask.user, displayName: ask.user },
      challenge: bytes(ask.challenge),
      pubKeyCredParams: ask.algorithms.map((alg) => ({ type: "public-key", alg })),
      excludeCredentials: credentials,
      authenticatorSelection: { userVerification: "required", residentKey: "discouraged" },
      attestation: "none",
      timeout: ask.milliseconds,
    },
  });
  const r = c.response;
  const publicKey = r.getPublicKey();
  if (!publicKey) throw new DOMException("", "NotSupportedError");
  return {
    id: text(c.rawId), clientData: text(r.clientDataJSON), authenticatorData: text(r.getAuthenticatorData()),
    publicKey: text(publicKey), algorithm: r.getPublicKeyAlgorithm(),
  };
}

async function approved() {
  const c = await navigator.credentials.get({
    publicKey: { rpId: ask.host, challenge: bytes(ask.challenge), allowCredentials: credentials, userVerification: "required", timeout: ask.milliseconds },
  });
  const r = c.response;
  return { id: text(c.rawId), clientData: text(r.clientDataJSON), authenticatorData: text(r.authenticatorData), signature: text(r.signature) };
}

async function answer(what) {
  const response = await fetch(location.href, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });
  const out = await response.json();
  if (out.over) act.hidden = true;
  tell(out.text, out.done ? "done" : "caution");
}

async function run(make) {
  yes.disabled = no.disabled = true;
  try {
    await answer(await make());
  } catch (e) {
    tell(ask.texts[e.name] || ask.texts.other, "caution");
  }
  yes.disabled = no.disabled = false;
}

if (!window.PublicKeyCredential) {
  yes.disabled = true;
  tell(ask.texts.NotSupportedError, "caution");
}
yes.addEventListener("click", () => run(async () => (ask.add ? { made: await made() } : { approval: await approved() })));
no.addEventListener("click", () => run(async () => ({ refuse: true })));
