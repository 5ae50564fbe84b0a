// The live feed: one WebSocket, which continues where it was cut.

const LONGEST_WAIT = 30;
// The server pings every 15 seconds; after this silence the connection is taken for lost.
const SILENCE_MS = 40_000;
const NOT_AUTHENTICATED = 4401;
// Channels of which each frame is wanted. A quote, an update of an open bar or of a portfolio may be replaced by a newer one.
const LOSSLESS = /^(trades|status|orders|alerts):/;

/**
 * @typedef {{from?: string, mode?: "latest", onBegun: () => void, onFrame: (frame: object) => void, onResync: () => void, onError: (error: object) => void}} Subscription
 */
export class Feed {
  #channels = new Map();
  #names = new Map();
  #asked = new Map();
  #socket = null;
  #tries = 0;
  #next = 1;
  #wait = 0;
  #timer = null;
  #watch = null;
  #fresh = false;

  /** onState: `live`, `connecting`, or `lost` with the seconds until the next try. onPing: the server's ping. */
  constructor({token, onState, onPing}) {
    Object.assign(this, {token, onState, onPing});
  }

  start() {
    this.#connect();
  }

  /** @param {string} channel @param {Subscription} subscription from: the token to continue from. */
  subscribe(channel, subscription) {
    this.#channels.set(channel, {...subscription});
    if (this.#socket?.readyState === WebSocket.OPEN) this.#ask(channel);
  }

  unsubscribe(channel) {
    const name = [...this.#names].find(([, asked]) => asked === channel)?.[0] ?? channel;
    if (!this.#channels.delete(channel)) return;
    this.#names.delete(name);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send({op: "unsubscribe", channels: [name]});
  }

  async #connect() {
    this.onState("connecting");
    let token;
    try {
      token = await this.token({fresh: this.#fresh});
    } catch {
      return this.#later();
    }
    this.#fresh = false;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/v1/stream`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#send({op: "auth", token});
      for (const channel of this.#channels.keys()) this.#ask(channel);
      this.#listenForSilence();
    };
    socket.onmessage = ({data}) => this.#receive(JSON.parse(data));
    socket.onclose = ({code}) => this.#closed(socket, code);
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#watch);
    this.#names.clear();
    this.#asked.clear();
    this.#fresh = code === NOT_AUTHENTICATED;
    this.#later();
  }

  #later() {
    const grown = Math.min(LONGEST_WAIT, 0.5 * 2 ** this.#tries++);
    const seconds = Math.max(this.#wait, grown * (0.75 + Math.random() / 2));
    this.#wait = 0;
    this.onState("lost", seconds);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), seconds * 1000);
  }

  #listenForSilence() {
    clearTimeout(this.#watch);
    const socket = this.#socket;
    this.#watch = setTimeout(() => {
      socket.close();
      this.#closed(socket, 0);
    }, SILENCE_MS);
  }

  #ask(channel) {
    const id = this.#next++;
    this.#asked.set(id, channel);
    const {from, mode} = this.#channels.get(channel);
    this.#send({op: "subscribe", id, channels: [channel], mode, ...(from ? {from: {[channel]: from}} : {})});
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #receive(message) {
    this.#listenForSilence();
    if (message.ch && !message.op) this.#frame(message);
    else this[`_${message.op}`]?.(message);
  }

  #frame(frame) {
    const channel = this.#names.get(frame.ch) ?? frame.ch;
    const subscription = this.#channels.get(channel);
    // What comes before the answer to `subscribe` comes again after it.
    if (!subscription || [...this.#asked.values()].includes(channel)) return;
    if (LOSSLESS.test(channel) && subscription.from && frame.prev && frame.prev !== subscription.from) {
      // Something was lost between the two: ask for it again.
      this.#ask(channel);
      return;
    }
    subscription.from = frame.seq;
    subscription.onFrame(frame);
  }

  _authenticated() {
    this.#tries = 0;
    this.onState("live");
  }

  _subscribed({id, channels}) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    const [[name, token]] = Object.entries(channels);
    const subscription = this.#channels.get(asked);
    if (!subscription) return;
    this.#names.set(name, asked);
    subscription.from = token;
    subscription.onBegun();
  }

  // A refused subscription, or one that the server has ended.
  _error({id, ch, code, message}) {
    this.#channels.get(this.#asked.get(id) ?? this.#names.get(ch) ?? ch)?.onError({code, message});
    this.#asked.delete(id);
  }

  _resync({ch, seq}) {
    const subscription = this.#channels.get(this.#names.get(ch) ?? ch);
    if (!subscription) return;
    subscription.from = seq;
    subscription.onResync();
  }

  _closing({retry_after: seconds}) {
    this.#wait = seconds ?? 0;
  }

  _ping(ping) {
    this.#send({op: "pong"});
    this.onPing(ping);
  }
}
