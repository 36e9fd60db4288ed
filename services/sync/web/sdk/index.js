export { BINARY_PROTOCOL, BinaryDecoder, encodeMessage } from './binary.js';
export { GameClient } from './client.js';
export { Connection, FINAL_CLOSE_CODES } from './connection.js';
export { Emitter } from './emitter.js';
export { GameError } from './errors.js';
export { FOG, GameStateManager, SHROUD, VISIBLE } from './state.js';
export * as hex from './hex.js';
