// Calls that a person asked for: one at a time, and a refusal said in its place.

import {byId, el} from "./dom.js";
import {codeLink} from "./messages.js";
import {checkWords, words} from "./trading_words.js";

/** Say a refusal in a place, with a link to its code and what the answer says beyond that. unanswered: said instead if no answer came. */
export function refuse(place, error, unanswered) {
  byId(place).replaceChildren(...(unanswered && error.code === "unreachable" ? [unanswered] : refusalWords(error)));
}

/**
 * Return a function that makes a call unless the one before is under way. It returns the answer, or null: if the call was not made, if it was
 * refused, which is said in `place`, and if `isWanted` no longer holds when the answer comes.
 */
export function oneAtATime(place, unanswered) {
  let isBusy = false;
  return async (call, isWanted = () => true) => {
    if (isBusy) return null;
    isBusy = true;
    byId(place).replaceChildren();
    try {
      const answer = await call();
      return isWanted() ? answer : null;
    } catch (error) {
      if (isWanted()) refuse(place, error, unanswered);
      return null;
    } finally {
      isBusy = false;
    }
  };
}

function refusalWords(error) {
  const {checks, errors} = error.problem ?? {};
  const more = [
    ...(checks ?? []).filter(({passed}) => !passed).map(checkWords),
    ...(errors ?? []).map(({path, message}) => `${words(path)}: ${message}`),
  ];
  const list = more.length ? [el("ul", {}, ...more.map((text) => el("li", {}, text)))] : [];
  return [el("span", {}, `${error.message} `, codeLink(error)), ...list];
}
