export type Hex = [q: number, r: number];

export interface Point {
  x: number;
  y: number;
}

/** What the server refuses, or the client gives up on; `code` as in docs/client-protocol.md. */
export class GameError extends Error {
  constructor(code: string, message?: string, details?: Record<string, unknown>);
  readonly name: 'GameError';
  code: string;
  details: Record<string, unknown>;
  /** After so many milliseconds it is worth another try; undefined if the server did not say. */
  retryAfterMs: number | undefined;
}

export class Emitter<Events> {
  /** @returns what takes the listener off again */
  on<K extends keyof Events>(type: K, listener: (detail: Events[K]) => void): () => void;
  once<K extends keyof Events>(type: K, listener: (detail: Events[K]) => void): () => void;
  off<K extends keyof Events>(type: K, listener: (detail: Events[K]) => void): void;
  emit<K extends keyof Events>(type: K, detail: Events[K]): void;
}

// --- the state -----------------------------------------------------------------------------------

export const SHROUD: 0;
export const FOG: 1;
export const VISIBLE: 2;

/** `npc`: the wild; `unknown`: what is remembered of a type that the map does not name. */
export type Kind = 'unit' | 'building' | 'resource' | 'npc' | 'unknown';
export type Activity = 'idle' | 'moving' | 'attacking' | 'gathering' | 'building' | 'repairing';

export interface EntityData {
  activity?: Activity;
  /** permille */
  progress?: number;
  /** What its kills have made of it; none if missing. */
  rank?: number;
  amount?: number;
  carried?: number;
  /** Where it is going; of an own building, where those trained there go (its rally point). */
  target?: Hex | null;
}

export interface Entity {
  readonly id: string;
  /** 'unknown': the map does not name it */
  type: string;
  kind: Kind;
  /** an empire's id; null: nobody's */
  owner: string | null;
  pos: Hex;
  health: number | null;
  data: EntityData;
  /** remembered, not in sight */
  stale: boolean;
  /** tick */
  lastSeen: number | null;
  /** tick; null: never */
  expiresAt: number | null;
  /** where to draw it: in units of a hex's radius, between its last hex and `pos` */
  x: number;
  y: number;
  /** where its present step began; null: it stands */
  from: Point | null;
  moveMs: number;
  movedMs: number;
}

export interface KnownHex {
  q: number;
  r: number;
  terrain: string | null;
  state: 1 | 2;
}

export interface Terrain {
  name: string;
  /** percent of a normal step's time; 0: nothing passes */
  cost: number;
}

export interface EntityType {
  name: string;
  kind: Kind;
  sight: number;
  health: number;
  ticks_per_hex: number;
  /** Of a building that workers build: ticks of one worker's work, and what it costs. */
  build_ticks?: number;
  cost?: Record<string, number>;
  /** What a worker can build: names of types. */
  builds?: string[];
}

export interface Recipe {
  name: string;
  buildings: string[];
  inputs?: Record<string, number>;
  unit?: string;
  duration_ticks: number;
}

export interface Job {
  /** `waiting`: accepted, not started; known of the jobs of this connection only */
  event: 'waiting' | 'started' | 'progress' | 'completed' | 'failed' | 'cancelled' | 'ended';
  job: string;
  building?: string;
  recipe: string;
  /** 0 while it waits */
  start_tick: number;
  end_tick: number;
  /** Of the `cycles` that were ordered. */
  cycles_completed?: number;
  reason?: string;
}

export interface GameEvent {
  event: string;
  entity?: string;
  other?: string;
  value?: number;
  resource?: string;
}

export type Change =
  | { what: 'reset' | 'map' | 'entities' | 'empires'; detail?: undefined }
  | { what: 'hexes'; detail: Hex[] }
  | { what: 'resources'; detail: Record<string, number> }
  | { what: 'jobs'; detail: Job[] }
  | { what: 'events'; detail: GameEvent[] };

export class GameStateManager extends Emitter<{ change: Change }> {
  tick: number;
  /** a full state was received */
  complete: boolean;
  /** Of so many entities and hexes there is news that the server tells later: the connection takes more than it may. */
  deferred: number;
  empireId: string | null;
  home: Hex;
  entities: Map<string, Entity>;
  /** by hex.key(q, r) */
  hexes: Map<string, KnownHex>;
  resources: Map<string, number>;
  jobs: Map<string, Job>;
  /** names by empire id */
  empires: Map<string, string>;
  types: Map<string, EntityType>;
  terrains: Map<string, Terrain>;
  recipes: Recipe[];
  tickMs: number;
  reset(): void;
  /** Applies any message of the server. */
  apply(message: { type: string; [field: string]: any }): void;
  /** Moves the drawn positions; call once a frame with the time since the last. */
  interpolate(deltaMs: number): void;
  jobWaits(job: string, building: string, recipe: string): void;
  jobIsCancelled(job: string): void;
  isMine(entity: Entity): boolean;
  mine(type?: string): Entity[];
  at(hex: Hex): Entity[];
  hexAt(hex: Hex): KnownHex | undefined;
  terrainAt(hex: Hex): Terrain | undefined;
  isPassable(hex: Hex): boolean;
}

// --- the connection ------------------------------------------------------------------------------

export type ConnectionState = 'connecting' | 'online' | 'offline' | 'closed';

export interface ConnectionOptions {
  /** ws:// or wss:// address of the game's /ws */
  url: string;
  /** the login server's token, or what gets one: asked before every connection */
  token: string | (() => string | Promise<string>);
  session?: string;
  /** default 'binary'; messages look the same, their bytes do not */
  encoding?: 'binary' | 'json';
  /** the constructor, where the platform has none of its own */
  WebSocket?: new (url: string, protocols: string[]) => any;
  /** default 15,000 */
  commandTimeoutMs?: number;
  /** waits between attempts; the last one is repeated */
  backoffMs?: number[];
  /** in [0, 1) */
  random?: () => number;
}

export interface ConnectionEvents {
  state: ConnectionState;
  /** `error`: why, if the server said so; `no_token`: what gets one failed */
  retry: { attempt: number; delayMs: number; error?: GameError };
  /** ms, there and back */
  latency: number;
  /** the connection stays closed */
  refused: GameError;
}

export interface Ack {
  seq: number;
  tick: number;
  job?: string;
}

export const FINAL_CLOSE_CODES: ReadonlySet<number>;

export class Connection extends Emitter<ConnectionEvents & { message: any }> {
  constructor(options: ConnectionOptions);
  readonly state: ConnectionState;
  lastTick: number;
  connect(): void;
  retryNow(): void;
  close(): void;
  /** False without a connection. Throws a GameError, `too_large`, if the message is longer than the server takes. */
  send(message: object): boolean;
  /**
   * Rejects with a GameError. The fields are taken as they are now; `accepted` is called with the acknowledgement before
   * anything that came after it is looked at; `again`: the command was sent on an earlier connection, too.
   */
  command(name: string, fields?: object, accepted?: (ack: Ack, again: boolean) => void): Promise<Ack>;
}

// --- the binary encoding, for programs with a connection of their own --------------------------

/** The subprotocol that asks for it. */
export const BINARY_PROTOCOL: 'mmorts.bin.v1';

export class BinaryDecoder {
  /** Tells it of a `map` message: types and terrains are numbered as they stand there. */
  onMap(map: { types?: EntityType[]; terrains?: Terrain[] }): void;
  /** The JSON message that the bytes stand for; throws a RangeError if they are none. */
  decode(data: ArrayBuffer | Uint8Array): any;
}

/** The message in bytes, or null if it can only be said in JSON. */
export function encodeMessage(message: object): Uint8Array | null;

// --- both together -------------------------------------------------------------------------------

export interface SessionStatus {
  state: 'running' | 'paused' | 'stopping';
  player_count: number;
  max_players: number;
  server_tick: number;
  uptime: number;
}

export interface Player {
  player_id: string;
  username: string;
}

export interface Welcome extends Player {
  session_id: string;
  empire_id: string;
  home: Hex;
  next_seq: number;
  /** for going on where the connection stopped; the connection sees to it */
  resume?: string;
  /** what was missed follows; false, with the reason: everything does. Missing where neither was asked for */
  resumed?: boolean;
  reason?: 'off' | 'other_instance' | 'unknown' | 'encoding' | 'too_old' | 'longer';
  session_status: SessionStatus;
}

export type GroupRole = 'member' | 'officer' | 'leader';
export type GroupPolicy = 'invite' | 'apply' | 'open';
export type GroupAction = 'create' | 'invite' | 'join' | 'decline' | 'refuse' | 'leave' | 'kick' | 'role' | 'disband' | 'policy';

export interface GroupName {
  id: string;
  name: string;
  /** empty: none */
  tag: string;
}

export interface Group extends GroupName {
  policy: GroupPolicy;
  member_count: number;
  members_max: number;
  /** of one's own groups */
  members?: (Player & { role: GroupRole })[];
  /** who waits for an answer: for officers, and one's own entry */
  pending?: (Player & { application: boolean })[];
}

export interface GroupHappening {
  group: GroupName;
  player: Player;
  /** the player's id who did it; '0': nobody, an invitation's time was over */
  by: string;
  role?: GroupRole;
  policy?: GroupPolicy;
}

export interface Mailbox {
  unread: number;
  total: number;
}

export interface MailHead {
  /** counts this player's mail: greater is newer */
  id: number;
  from: Player;
  /** it was sent to all of a group */
  group?: { id: string; name: string };
  subject: string;
  timestamp: number;
  read: boolean;
}

export interface Mail extends MailHead {
  body: string;
}

export interface ClientEvents extends ConnectionEvents {
  welcome: Welcome;
  ready: GameStateManager;
  /** what was missed while the connection was lost has been told */
  resumed: GameStateManager;
  update: { tick: number; full?: boolean; deferred?: number; [field: string]: any };
  change: Change;
  /** `to`: only for that player (an id) and its sender */
  chat: Player & { message: string; timestamp: number; group?: string; to?: string };
  mail: Mailbox & { mail: MailHead };
  mailbox: Mailbox;
  announcement: { message: string; timestamp: number };
  /** so many of these events, the line being too slow; who is online, the groups and the mailbox are told again */
  missed: { messages: number };
  player_joined: Player & { player_count?: number };
  player_left: Player & { player_count?: number };
  /** `left`: ids */
  players: { player_count: number; joined?: Player[]; left?: string[] };
  roster: { player_count?: number; players: Player[] };
  session_status: SessionStatus;
  groups: { groups: Group[]; invited: Group[] };
  group_created: GroupHappening;
  group_joined: GroupHappening;
  group_left: GroupHappening;
  group_kicked: GroupHappening;
  group_role: GroupHappening;
  group_disbanded: GroupHappening;
  group_invited: GroupHappening;
  group_applied: GroupHappening;
  group_declined: GroupHappening;
  group_policy: GroupHappening;
  error: GameError;
}

export class GameClient extends Emitter<ClientEvents> {
  constructor(options: ConnectionOptions);
  readonly state: GameStateManager;
  readonly connection: Connection;
  /** names of who is online, by player id */
  players: Map<string, string>;
  playerCount: number;
  groups: Group[];
  invited: Group[];
  mailbox: Mailbox;
  playerId: string | null;
  username: string | null;
  session: SessionStatus | null;
  /** Resolves when everything was told, or what was missed since the last connection; rejects when it is refused, or closed. */
  connect(): Promise<GameClient>;
  close(): void;
  command(name: string, fields?: object): Promise<Ack>;
  move(units: string[], target: Hex, options?: { queued?: boolean }): Promise<Ack>;
  attack(units: string[], target: string, options?: { queued?: boolean }): Promise<Ack>;
  attackMove(units: string[], target: Hex, options?: { queued?: boolean }): Promise<Ack>;
  gather(units: string[], target: string, options?: { queued?: boolean }): Promise<Ack>;
  build(units: string[], building: string, target: Hex, options?: { queued?: boolean }): Promise<Ack>;
  repair(units: string[], target: string, options?: { queued?: boolean }): Promise<Ack>;
  cancelBuild(building: string): Promise<Ack>;
  patrol(units: string[], points: Hex[], options?: { queued?: boolean }): Promise<Ack>;
  wander(units: string[], radius: number, options?: { queued?: boolean }): Promise<Ack>;
  rally(buildings: string[], target: Hex): Promise<Ack>;
  stop(units: string[]): Promise<Ack>;
  train(building: string, recipe: string, cycles?: number): Promise<Ack>;
  cancel(job: string): Promise<Ack>;
  /** Where the player looks: what happens there is told first. */
  focus(hex: Hex | null): void;
  chat(text: string, group?: string): boolean;
  whisper(player: string, text: string): boolean;
  group(action: GroupAction, fields?: object): Promise<Ack>;
  listGroups(after?: string): Promise<Group[]>;
  sendMail(to: { player: string } | { name: string } | { group: string }, mail: { subject: string; body: string }): Promise<{ delivered: number; full: number }>;
  inbox(page?: { before?: number; limit?: number }): Promise<{ mails: MailHead[]; more: boolean }>;
  readMail(id: number): Promise<Mail>;
  deleteMail(ids: number[]): Promise<Ack>;
  onMail(listener: (mail: MailHead) => void): () => void;
}

export namespace hex {
  const DIRECTIONS: Hex[];
  function key(q: number, r: number): string;
  /** In units of a hex's radius, y downwards. */
  function toPoint(q: number, r: number): Point;
  function fromPoint(x: number, y: number): Hex;
  function distance(a: Hex, b: Hex): number;
  function neighbors(hex: Hex): Hex[];
  function disc(center: Hex, radius: number): Hex[];
}
