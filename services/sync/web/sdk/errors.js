/**
 * What the server refuses, with the code it gives (docs/client-protocol.md lists them), and what the
 * client itself gives up on: `timeout` (no answer in time: whether the command was carried out is not
 * known), `closed` (the client was closed), `too_many` (too many commands wait for their answers).
 */
export class GameError extends Error {
  /**
   * @param {string} code    for programs
   * @param {string} [message] for people
   * @param {object} [details] the payload of the server's error message
   */
  constructor(code, message, details) {
    super(message || code);
    this.name = 'GameError';
    this.code = code;
    this.details = details ?? {};
    /** After so many milliseconds it is worth another try; undefined if the server did not say. */
    this.retryAfterMs = this.details.retry_after_ms;
  }
}
