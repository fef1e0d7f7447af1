// Passkeys: binds each form with data-passkey to the ceremony of allauth's webauthn.js that it names, and says in words
// what went wrong. The forms are hidden until this script finds that the browser has passkeys.
const WORDS = {
  NotAllowedError: "Nothing happened: the passkey was not confirmed, or it took too long. Try again.",
  InvalidStateError: "This passkey is one of yours already.",
  SecurityError: "A passkey works only at the address that it was made for. Look at the address above.",
};
const ROLES = { addForm: "add", loginForm: "login", authenticateForm: "authenticate" };

function bind(form) {
  const { passkey, options } = form.dataset;
  const button = form.querySelector("[data-passkey-button]");
  const credential = form.elements.namedItem("credential");
  const passwordless = form.elements.namedItem("passwordless");
  const ids = { [ROLES[passkey]]: button.id, credential: credential.id, passwordless: passwordless?.id };
  window.allauth.webauthn.forms[passkey]({ ids, data: options ? JSON.parse(options) : null });
  form.addEventListener("submit", (event) => { // Enter in a field: the passkey first
    if (credential.value) return;
    event.preventDefault();
    button.click();
  });
  form.hidden = false;
}

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const said = WORDS[event.detail.exception?.name] ?? "That did not work. Load this page again, and try once more.";
  for (const place of document.querySelectorAll("[data-passkey-error]")) {
    place.textContent = said;
    place.hidden = false;
  }
});

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (window.webauthnJSON?.supported()) bind(form);
  else form.parentElement.querySelector("[data-passkey-absent]").hidden = false;
}
