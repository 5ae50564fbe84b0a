// Calls of the API. The access token is held in memory only; a cookie that scripts cannot read renews it.

const COOKIE = {"X-Refresh": "cookie", "Content-Type": "application/json"};
// Renew this long before the token expires.
const EARLY_MS = 30_000;
const MOST_WAITS = 3;
// A change without an answer for so long is taken for unanswered.
const PATIENCE_MS = 20_000;

/**
 * A refusal, or a server that cannot be reached. `code` is one of the list of errors, or `unreachable`. `problem` is the whole
 * answer.
 */
class Refusal extends Error {
  constructor(code, message, status = 0, retryAfter = 0, problem = {}) {
    super(message);
    Object.assign(this, {code, status, retryAfter, problem});
  }

  /** Whether the same call will be refused again. */
  get isFinal() {
    return this.status >= 400 && this.status < 500 && this.status !== 429;
  }
}

export class Api {
  #token = null;
  #timer = null;
  #renewing = null;

  /**
   * @param {{onEnd: () => void, onWait: (seconds: number) => void}} hooks onEnd: the login has ended. onWait: a call waits for
   *   the limit; 0 once it no longer does.
   */
  constructor({onEnd, onWait}) {
    this.onEnd = onEnd;
    this.onWait = onWait;
  }

  /** Continue the login of the cookie. Returns whether there was one. */
  async restore() {
    try {
      await this.#renew();
      return true;
    } catch (error) {
      if (error.isFinal) return false;
      throw error;
    }
  }

  /** End the login, unless it has ended already. If that fails it goes on: its cookie is still there. */
  async logout() {
    try {
      await this.#auth("logout");
    } catch (error) {
      if (error.status !== 401) throw error;
    }
    clearTimeout(this.#timer);
    this.#token = null;
  }

  /** The token for the live feed; renewed if the old one was refused. */
  async token({fresh = false} = {}) {
    if (fresh || !this.#token) await this.#renew();
    return this.#token;
  }

  /** GET a path below /api/v1. Empty parameters are left out. Returns `{data, headers}`. */
  async get(path, parameters = {}, options = {}) {
    const answer = await this.response(path, parameters, options);
    return {data: await answer.json(), headers: answer.headers};
  }

  /** Change something at a path below /api/v1. Returns the answer's JSON. `unreachable` says nothing about what was done. */
  async send(method, path, {parameters = {}, body, headers = {}} = {}) {
    const type = body ? {"Content-Type": "application/json"} : {};
    const options = {method, body: body && JSON.stringify(body), headers: {...type, ...headers}, signal: AbortSignal.timeout(PATIENCE_MS)};
    const answer = await this.response(path, parameters, options);
    if (answer.status === 204) return {};
    return answer.json().catch(() => {
      throw new Refusal("unreachable", "The answer was cut.");
    });
  }

  /** Ask, and return the response itself. Waits when the limit is reached, and renews the token once. */
  async response(path, parameters = {}, {headers, ...options} = {}) {
    const filled = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const url = `/api/v1${path}${filled.length ? `?${new URLSearchParams(filled)}` : ""}`;
    for (let waits = 0, renewed = false; ; ) {
      const always = {Authorization: `Bearer ${this.#token}`, Accept: "application/json, */*;q=0.1"};
      const answer = await reached(url, {...options, headers: {...always, ...headers}});
      if (answer.ok) return answer;
      const refusal = await refusalOf(answer);
      if (answer.status === 401 && !renewed && refusal.code !== "signature_required") {
        renewed = true;
        await this.#renewOrEnd();
      } else if (answer.status === 429 && waits++ < MOST_WAITS) {
        this.onWait(refusal.retryAfter);
        await new Promise((resolve) => setTimeout(resolve, refusal.retryAfter * 1000));
        this.onWait(0);
      } else throw refusal;
    }
  }

  async #renewOrEnd() {
    try {
      await this.#renew();
    } catch (error) {
      // What was on its way when the login ended is given up.
      if (this.#token === null) throw new DOMException("logged out", "AbortError");
      if (error.status !== 401) throw error;
      clearTimeout(this.#timer);
      this.#token = null;
      this.onEnd();
      throw new DOMException("the login has ended", "AbortError");
    }
  }

  // One renewal at a time, also of several tabs: the cookie is valid once.
  #renew() {
    const exchange = async () => this.#keep(await this.#auth("refresh"));
    const alone = () => navigator.locks?.request("marketdata-refresh", exchange) ?? exchange();
    this.#renewing ??= alone().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  #keep({access, expires_in: seconds}) {
    this.#token = access;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#renewOrEnd().catch(() => {}), Math.max(5000, seconds * 1000 - EARLY_MS));
  }

  async #auth(action) {
    // keepalive: a page that is left meanwhile still takes the new cookie.
    const answer = await reached(`/api/v1/auth/${action}`, {method: "POST", headers: COOKIE, keepalive: true});
    if (!answer.ok) throw await refusalOf(answer);
    return answer.status === 204 ? {} : answer.json();
  }
}

/** The answer to a call of this server; a Refusal `unreachable` if there is none. */
export async function reached(url, options) {
  try {
    return await fetch(url, {credentials: "same-origin", cache: "no-cache", ...options});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("unreachable", "The server cannot be reached.");
  }
}

/** An answer with an error as a Refusal. */
export async function refusalOf(answer) {
  const problem = await answer.json().catch(() => ({}));
  const wait = Math.min(60, Number(answer.headers.get("Retry-After")) || 1);
  return new Refusal(problem.code ?? "server_error", problem.message ?? `The server answered ${answer.status}.`, answer.status, wait, problem);
}
