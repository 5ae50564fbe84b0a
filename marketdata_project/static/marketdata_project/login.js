// The form to log in with, by a key or by a name and a password. Neither is kept.

import {byId} from "./dom.js";

/** Show the form; resolves once somebody is logged in. */
export function askForLogin(api, reason = "") {
  const form = byId("login");
  const said = byId("login-error");
  said.textContent = reason;
  form.hidden = false;
  byId("app").hidden = true;
  form.querySelector("input").focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const entered = new FormData(form);
      const key = entered.get("key").trim();
      const credential = key ? {key} : {username: entered.get("username"), password: entered.get("password")};
      try {
        await api.login(credential);
      } catch (error) {
        said.textContent = `${error.message} (${error.code})`;
        return;
      }
      form.reset();
      form.hidden = true;
      resolve();
    };
  });
}
