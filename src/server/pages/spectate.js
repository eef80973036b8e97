// The positions of a spectate server, for any page: one connection that comes back by itself. Needs
// nothing else, and knows no document.

/**
 * A user: an integer, or a string of 1 to 64 bytes. `5` and `'5'` are the same one.
 * @typedef {string | number} UserId
 */

/**
 * Where a user is, by the names and units of the W3C Geolocation API.
 * @typedef {object} Position
 * @property {UserId} userId as its sender wrote it
 * @property {number} lat degrees
 * @property {number} lng degrees
 * @property {number} [accuracy] m
 * @property {number} [altitude] m
 * @property {number} [altitudeAccuracy] m
 * @property {number} [heading] degrees clockwise from north
 * @property {number} [speed] m/s
 * @property {number} [timestamp] ms since 1970 UTC, by the sender's clock
 * @property {number} [battery] 0 to 1
 * @property {number} [age] s since the server received it; of a last known position alone
 */

/**
 * How a user is.
 * @typedef {object} Presence
 * @property {UserId} userId as the follow wrote it
 * @property {string} [name]
 * @property {string} [color] `#rrggbb`
 * @property {'live' | 'stale' | 'unknown'} state
 * @property {boolean} connected whether some connection says that it is this user
 * @property {number} [age] s since the last position came
 */

/**
 * The way that a user came, oldest point first; each is `[lng, lat, ms]` or `[lng, lat, ms, altitude]`.
 * @typedef {{ userId: UserId, points: number[][] }} Trail
 */

/**
 * What the server could not carry out. The code is for programs, the message for people.
 * @typedef {{ code: string, message: string }} Refusal
 */

/**
 * How the connection is.
 * @typedef {object} Link
 * @property {'connecting' | 'open' | 'waiting' | 'ended'} state
 * @property {number | null} code with which the last one was closed, if `waiting` or `ended`
 * @property {number | null} retryIn ms until the next attempt, if `waiting`
 */

/**
 * What the connection says of itself.
 * @typedef {object} Who
 * @property {UserId | null} [userId] who this is; without one it watches, or sends for anybody
 * @property {string | null} [name] what to call that user
 * @property {boolean} [presence] whether to hear how those are whom it follows
 * @property {boolean} [audience] whether to hear how many follow `userId`
 * @property {number} [trail] how many points of the way that each one came; 0 for none
 */

/**
 * @typedef {object} Beginning
 * @property {Iterable<UserId> | '*'} [following] whom to follow; `'*'` is everyone
 * @property {string | null} [token] where the server asks for tokens
 */

/**
 * The events by their types.
 * @typedef {object} Events
 * @property {CustomEvent<Position>} position
 * @property {CustomEvent<Presence>} presence
 * @property {CustomEvent<Trail>} trail
 * @property {CustomEvent<number>} audience
 * @property {CustomEvent<Refusal>} error
 * @property {CustomEvent<Link>} link
 */

const { max, min, random } = Math;

const BATCH_IDS = 200; // in one message, far below the server's limit of a message
const OPENING_MS_MAX = 10_000;
const QUIET_MS = 20_000; // after which the server is asked for a sign of life
const ANSWER_MS_MAX = 10_000;
const SETTLED_MS = 10_000; // a connection that lasted this long was a good one
const RETRY_MS_MAX = 30_000;
const RESTART_MS_MAX = 5000;
const SLEPT_MS = 5000;
const TURN_MS = 500;
const OVERLAP_MS = 5000; // of what was heard before a reconnect and what is asked for after it
const SECONDS_BELOW = 1e11; // a time under this is in seconds

// After these the same attempt would fail again: the server does not understand this client, or
// does not put up with it.
const isFinal = code => [1002, 1003, 1007, 1008, 1009].includes(code) || code >= 4000 && code < 4100;
const isAboutToken = code => code === 4001 || code === 4002;

const clock = () => performance.now();

/** @param {string | URL} url */
function webSocketUrl(url) {
  const parsed = new URL(url, globalThis.location?.href);
  parsed.protocol = parsed.protocol.replace(/^http/, 'ws');
  if (!['ws:', 'wss:'].includes(parsed.protocol)) throw new TypeError(`${url} is no address of a server`);
  parsed.hash = '';
  return parsed.href;
}

/** @param {Iterable<UserId> | '*'} ids */
function listOf(ids) {
  if (ids === '*') return ids;
  // Its letters would be a list too.
  if (typeof ids === 'string') throw new TypeError("ids are a list, or '*'");
  return [...ids];
}

// An integer id may have more digits than a number can hold; it is a string then.
const INTEGER_ID = /^\{(?:"(?:presence|trail)":\{)?"userId":(-?\d+)[,}]/;
function withExactId(content, text) {
  const digits = typeof content.userId === 'number' && INTEGER_ID.exec(text)?.[1];
  if (digits && digits !== String(content.userId)) content.userId = digits;
  return content;
}

/**
 * A connection to a spectate server, which opens again whenever it was lost, and follows again.
 *
 *     const runners = new Spectate('wss://race.example.com', { following: [5, 6] });
 *     runners.addEventListener('position', ({ detail }) => console.log(detail.lat, detail.lng));
 */
export class Spectate extends EventTarget {
  #url;
  #token;
  #who;
  #followsAll = false;
  #followed = new Map(); // the ids as they were written, by their texts
  #leftOut = new Map(); // of everyone
  #seen = new Set(); // of whom something was heard since they are followed
  #newestMs = null; // time that was heard of
  #unsent = new Map(); // positions, by the texts of their users' ids

  #socket = null;
  #socketToken = null; // with which it was opened
  /** @type {Link} */
  #link = { state: 'connecting', code: null, retryIn: null };
  #failures = 0;
  #begunAt = 0;
  #openedAt = 0;
  #heardAt = 0;
  #askedAt = null; // for a sign of life, without one yet
  #pings = []; // without an answer yet
  #lastPing = 0;
  #doubtful = []; // refusals that may mean a ping: those before its answer do not
  #retry = 0;
  #turns = 0;
  #clocks = 0;
  #page = null; // aborts listening to it

  /**
   * Connects.
   * @param {string | URL} url of the server, by `ws`, `wss`, `http` or `https`
   * @param {Beginning & Who} [options]
   */
  constructor(url, { following = [], token = null, ...who } = {}) {
    super();
    this.#url = webSocketUrl(url);
    this.#token = token;
    this.#who = { userId: null, name: null, presence: false, audience: false, trail: 0, ...who };
    this.#note(listOf(following));
    this.#dial();
    // Whoever made it listens by then.
    queueMicrotask(() => { if (this.#link.state === 'connecting') this.#become(this.#link); });
  }

  /**
   * @template {keyof Events} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | { handleEvent(event: Events[Type]): void } | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }

  /**
   * Follows these too, from now on and after each reconnect.
   * @param {Iterable<UserId> | '*'} ids a list, or `'*'` for everyone
   */
  follow(ids) {
    const list = listOf(ids);
    this.#note(list);
    this.#sayBatches(list, batch => ({ follow: batch }));
  }

  /**
   * Follows these no longer; nothing more is heard of them.
   * @param {Iterable<UserId> | '*'} ids a list (under `'*'`: to leave out), or `'*'` for all of them
   */
  unfollow(ids) {
    const list = listOf(ids);
    if (list === '*') {
      this.#followsAll = false;
      for (const known of [this.#followed, this.#leftOut, this.#seen]) known.clear();
    } else {
      for (const id of list) {
        this.#followed.delete(String(id));
        this.#seen.delete(String(id));
        if (this.#followsAll) this.#leftOut.set(String(id), id);
      }
    }
    this.#sayBatches(list, batch => ({ unfollow: batch }));
  }

  /**
   * Sends a position. Without a connection the last one of each user is kept, and sent by the next; its
   * `timestamp` says by then how old it is.
   * @param {Partial<Position>} position `userId` may be left out if the connection has said who it is
   * @returns {boolean} whether it was sent
   */
  send(position) {
    const user = String(position.userId ?? '');
    const isSent = this.#say(position);
    if (isSent) this.#unsent.delete(user);
    else this.#unsent.set(user, position);
    return isSent;
  }

  /**
   * Takes another token of the same user. After the close codes 4001 and 4002 it connects with it at once.
   * @param {string | null} token `null` forgets the one there is
   */
  renew(token) {
    this.#token = token;
    if (token === null) return;
    if (this.#say({ token })) {
      // Those whom the last one did not cover.
      this.#sayFollows();
    } else if (this.#link.state === 'ended' && isAboutToken(this.#link.code)) {
      this.reconnect();
    }
  }

  /**
   * Has the server forget where the declared user was, if the connection is open.
   * @returns {boolean} whether it was told
   */
  goodbye() {
    this.#unsent.clear();
    return this.#say({ goodbye: true });
  }

  /** Ends the connection for good. */
  close() {
    if (this.#link.state === 'ended') return;
    this.#leave();
    this.#unsent.clear();
    this.#end(1000);
  }

  /**
   * Says something else of itself, now and after each reconnect. What is left out stays as it is. A
   * connection cannot take back who it is: another `userId` has a new one.
   * @param {Who} changes
   */
  hello(changes) {
    const { userId } = this.#who;
    Object.assign(this.#who, changes);
    if (userId != null && String(userId) !== String(this.#who.userId)) {
      this.#unsent.clear();
      if (this.#link.state === 'open') this.reconnect();
    } else {
      this.#say({ initialRequest: true, ...changes });
    }
  }

  /** Connects anew and at once, whatever the connection is doing; after its end too. */
  reconnect() {
    this.#leave();
    this.#failures = 0;
    this.#connect();
  }

  /**
   * Asks the server for an answer. By then it has carried out all that was said before, and every
   * `error` about that was told.
   * @returns {Promise<boolean>} `false` if there is no connection, or it was lost before the answer
   */
  ping() {
    const n = this.#lastPing + 1;
    if (!this.#say({ ping: n })) return Promise.resolve(false);
    this.#lastPing = n;
    this.#askedAt ??= clock();
    return new Promise(answer => this.#pings.push({ n, answer }));
  }

  #note(ids) {
    if (ids === '*') {
      this.#followsAll = true;
      this.#leftOut.clear();
      return;
    }
    for (const id of ids) {
      this.#followed.set(String(id), id);
      this.#leftOut.delete(String(id));
    }
  }

  #isFollowed(id) {
    return this.#followed.has(id) || this.#followsAll && !this.#leftOut.has(id);
  }

  /** @returns {boolean} whether there was a connection to say it over */
  #say(message) {
    if (this.#link.state !== 'open') return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #sayBatches(ids, message) {
    if (ids === '*') return this.#say(message(ids));
    for (let i = 0; i < ids.length; i += BATCH_IDS) this.#say(message(ids.slice(i, i + BATCH_IDS)));
  }

  #sayHello() {
    const { userId, name, presence, audience, trail } = this.#who;
    const hello = { initialRequest: true };
    if (presence) hello.presence = true;
    if (this.#token !== null) hello.token = this.#token;
    if (userId != null) hello.userId = userId;
    if (name != null) hello.name = name;
    if (audience) hello.audience = true;
    // A trail's beginning holds for those who are followed in the same message.
    const isToGoOn = trail > 0 && this.#newestMs !== null;
    if (trail > 0 && !isToGoOn) hello.trail = trail;
    this.#say(hello);
    this.#sayFollows(isToGoOn);
  }

  // Follows all, and of whom something was seen before only what was missed, if that is enough.
  #sayFollows(isToGoOn = false) {
    const { trail } = this.#who;
    const since = isToGoOn ? min(this.#newestMs - OVERLAP_MS, Date.now()) : 0;
    const goOn = batch => ({ initialRequest: true, trail, since, following: batch });
    const begin = batch => ({ follow: batch });
    const ids = [...this.#followed.values()];
    const isKnown = id => isToGoOn && this.#seen.has(String(id));
    if (this.#followsAll) this.#sayBatches('*', isToGoOn ? goOn : begin);
    this.#sayBatches(ids.filter(isKnown), goOn);
    if (isToGoOn && !this.#followsAll && !ids.some(isKnown)) this.#say({ initialRequest: true, trail });
    this.#sayBatches(ids.filter(id => !isKnown(id)), begin);
    this.#sayBatches([...this.#leftOut.values()], batch => ({ unfollow: batch }));
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @param {Link} link */
  #become(link) {
    this.#link = link;
    this.#tell('link', { ...link });
  }

  #connect() {
    this.#dial();
    this.#become({ state: 'connecting', code: null, retryIn: null });
  }

  #dial() {
    const socket = this.#socket = new WebSocket(this.#url);
    this.#begunAt = clock();
    this.#listenToPage();
    // What a socket says that was given up is no longer of interest.
    const listen = (type, act) => socket.addEventListener(type, event => {
      if (socket === this.#socket) act(event);
    });
    listen('open', () => this.#open());
    listen('message', ({ data }) => this.#hear(data));
    listen('close', ({ code }) => this.#lose(code));
  }

  #open() {
    this.#openedAt = this.#heardAt = clock();
    this.#askedAt = null;
    this.#socketToken = this.#token;
    this.#link = { state: 'open', code: null, retryIn: null };
    this.#sayHello();
    this.#become(this.#link);
    for (const position of [...this.#unsent.values()]) this.send(position);
  }

  // Takes the connection for lost, without waiting until the browser knows.
  #giveUp() {
    const socket = this.#socket;
    this.#lose(1006);
    socket.close();
  }

  #leave() {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    this.#forgetPings();
    socket?.close();
  }

  #lose(code) {
    const wasGood = this.#link.state === 'open' && clock() - this.#openedAt > SETTLED_MS;
    this.#socket = null;
    this.#forgetPings();
    if (wasGood) this.#failures = 0;
    // It went while the next token was under way.
    const isRenewed = this.#token !== null && this.#token !== this.#socketToken;
    if (isAboutToken(code) && this.#link.state === 'open' && isRenewed) return this.#connect();
    if (isFinal(code)) return this.#end(code);
    const most = min(1000 * 2 ** (this.#failures + (code === 1013 ? 3 : 0)), RETRY_MS_MAX);
    const retryIn = code === 1012 ? random() * RESTART_MS_MAX : most * (0.5 + random() / 2);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#connect(), retryIn);
    this.#become({ state: 'waiting', code, retryIn });
  }

  #end(code) {
    clearInterval(this.#turns);
    this.#page?.abort();
    this.#page = null;
    this.#become({ state: 'ended', code, retryIn: null });
  }

  #hear(text) {
    this.#heardAt = clock();
    this.#askedAt = null;
    let message = null;
    try { message = JSON.parse(text); } catch { /* nor is it of this protocol */ }
    if (message === null) return;
    const { pong, error, audience, presence, trail } = message;
    if (pong !== undefined) this.#hearPong(pong);
    else if (error) this.#hearError(error);
    else if (audience !== undefined) this.#tell('audience', audience);
    else if (presence) this.#hearOf('presence', withExactId(presence, text));
    else if (trail) this.#hearOf('trail', withExactId(trail, text), trail.points.at(-1)?.[2]);
    // A server may say more than this knows of.
    else if (message.lat !== undefined) this.#hearOf('position', withExactId(message, text), message.timestamp);
  }

  #hearOf(type, content, time) {
    const id = String(content.userId);
    // What was on its way when the follow ended.
    if (!this.#isFollowed(id)) return;
    if (type !== 'presence' && this.#who.trail > 0) this.#seen.add(id);
    if (time !== undefined) {
      const ms = time < SECONDS_BELOW ? time * 1000 : time;
      // Of a clock that is ahead nothing is believed.
      this.#newestMs = max(this.#newestMs ?? -Infinity, min(ms, Date.now()));
    }
    this.#tell(type, content);
  }

  #hearPong(number) {
    for (const error of this.#doubtful.splice(0)) this.#tell('error', error);
    while (this.#pings[0]?.n <= number) this.#pings.shift().answer(true);
  }

  #hearError(error) {
    // So does a server answer that is older than this and knows no ping.
    if (error.code === 'bad_message' && this.#pings.length > 0) this.#doubtful.push(error);
    else this.#tell('error', error);
  }

  #forgetPings() {
    this.#doubtful = [];
    for (const { answer } of this.#pings.splice(0)) answer(false);
  }

  #turn() {
    // Clocks stand still while a machine sleeps, and connections die.
    const slept = Date.now() - clock() - this.#clocks;
    this.#clocks += slept;
    if (slept > SLEPT_MS && this.#link.state === 'open') return this.reconnect();
    // A connection may be accepted and never answered, and browsers wait for minutes.
    if (this.#link.state === 'connecting' && clock() - this.#begunAt > OPENING_MS_MAX) return this.#giveUp();
    this.#checkLife(QUIET_MS);
  }

  // A dead connection looks like a quiet one.
  #checkLife(quietMs) {
    if (this.#link.state !== 'open') return;
    if (this.#askedAt !== null) {
      if (clock() - this.#askedAt > ANSWER_MS_MAX) this.reconnect();
    } else if (clock() - this.#heardAt > quietMs) {
      this.ping();
    }
  }

  #listenToPage() {
    if (this.#page) return;
    this.#page = new AbortController();
    this.#clocks = Date.now() - clock();
    this.#turns = setInterval(() => this.#turn(), TURN_MS);
    const on = (target, type, act) => target?.addEventListener?.(type, act, { signal: this.#page.signal });
    on(globalThis, 'offline', () => { if (this.#socket) this.#giveUp(); });
    on(globalThis, 'online', () => { if (this.#link.state !== 'open') this.reconnect(); });
    on(globalThis.document, 'visibilitychange', () => {
      if (document.hidden) return;
      if (this.#link.state === 'waiting') this.reconnect();
      else this.#checkLife(QUIET_MS / 4);
    });
  }
}
